import type { InstanceName } from '@filo/protocol'
import { listing } from './listing.ts'
import { hint, nearest } from './problem.ts'
import type { Topology } from './topology.ts'

// What an operator types to say which instances are meant: `mta`, `mta@mail1`, `@mail1`, `stage:backend`, globs
// in any of their parts, and labels of hosts, which narrow what the others give.

export type Selected =
  | {
      readonly kind: 'selected'
      /** In start order. */
      readonly instances: readonly number[]
      /** Those given by the exact name of their service or of themselves: only so does a stop reach what is kept. */
      readonly named: ReadonlySet<number>
    }
  /** A part of the selection matches nothing, so nothing is selected: what remains would not be what was meant. */
  | { readonly kind: 'nothing'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string }

/** No selections select the whole fleet; labels (`key=value`, of hosts) must all hold. */
export function select(
  topology: Topology,
  selections: readonly string[],
  labels: readonly string[],
): Selected {
  const chosen = new Set<number>()
  const named = new Set<number>()
  if (selections.length === 0) for (const number of topology.instances.keys()) chosen.add(number)
  for (const text of selections) {
    const found = match(topology, text)
    if (found.kind !== 'found') return found
    for (const number of found.numbers) {
      chosen.add(number)
      if (found.exact) named.add(number)
    }
  }
  const hosts = labelledHosts(topology, labels)
  if (hosts.kind !== 'hosts') return hosts
  const instances = [...chosen]
    .filter((number) => hosts.names.has(topology.instances[number]!.host))
    .toSorted((a, b) => a - b)
  if (instances.length === 0) {
    return { kind: 'nothing', reason: `nothing selected is on a host with ${labels.join(' and ')}` }
  }
  return { kind: 'selected', instances, named }
}

export type SelectedHosts =
  | { readonly kind: 'selected'; readonly hosts: ReadonlySet<string>; readonly instances: readonly number[] }
  | Exclude<Selected, { readonly kind: 'selected' }>

/**
 * Hosts by their names, with or without `@`, by globs or by labels, in the order of the file; and all that runs on them.
 * Labels narrow what the names give; without names they give hosts themselves.
 */
export function selectHosts(
  topology: Topology,
  selections: readonly string[],
  labels: readonly string[],
): SelectedHosts {
  const { fleet, instances } = topology
  if (selections.length === 0 && labels.length === 0) {
    const known = listing([...fleet.hosts.keys()])
    return { kind: 'malformed', reason: `which host? Nothing selects all of them; there are ${known}` }
  }
  const names = [...fleet.hosts.keys()]
  const labelled = labelledHosts(topology, labels)
  if (labelled.kind !== 'hosts') return labelled
  const chosen = new Set<string>(selections.length === 0 ? names : [])
  for (const text of selections) {
    const name = text.startsWith('@') ? text.slice(1) : text
    const found = names.filter(matcher(name))
    if (name === '' || found.length === 0) {
      return {
        kind: 'nothing',
        reason: `no host matches "${text}"${hostsOf(topology, name) || hint(name, names)}`,
      }
    }
    for (const host of found) chosen.add(host)
  }
  const hosts = new Set(names.filter((name) => chosen.has(name) && labelled.names.has(name)))
  if (hosts.size === 0) return { kind: 'nothing', reason: `no host of these has ${labels.join(' and ')}` }
  const resident = [...instances.keys()].filter((number) => hosts.has(instances[number]!.host))
  return { kind: 'selected', hosts, instances: resident }
}

/** Who types a service or an instance where a host is wanted may mean the hosts that it is on. */
function hostsOf({ fleet }: Topology, text: string): string {
  const [service = ''] = text.split('@')
  const known = fleet.services.get(service)
  return known === undefined ? '' : `; "${service}" is a service, and runs on ${listing(known.hosts)}`
}

type Match =
  | { readonly kind: 'found'; readonly numbers: readonly number[]; readonly exact: boolean }
  | { readonly kind: 'nothing'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string }

const form = 'a service, service@host, @host or stage:name, each with * and ? if you like'

function match(topology: Topology, text: string): Match {
  const parts = /^(?:stage:(?<stage>[^@:]+)|(?<service>[^@:]+)?(?:@(?<host>[^@:]+))?)$/.exec(text)?.groups
  if (text === '' || !parts)
    return { kind: 'malformed', reason: `"${text}" is no selection; expected ${form}` }
  if (parts['stage'] !== undefined) return matchStage(topology, text, parts['stage'])
  const { service, host } = parts
  const exact = service !== undefined && !isGlob(service) && (host === undefined || !isGlob(host))
  const known = exact && host !== undefined ? topology.numbers.get(text as InstanceName) : undefined
  // A run's way back names thousands of instances one by one: those are looked up, not searched for.
  if (known !== undefined) return { kind: 'found', numbers: [known], exact }
  const ofService = matcher(service)
  const onHost = matcher(host)
  const numbers = [...topology.instances.keys()].filter((number) => {
    const instance = topology.instances[number]!
    return ofService(instance.service.name) && onHost(instance.host)
  })
  if (numbers.length > 0) return { kind: 'found', numbers, exact }
  return { kind: 'nothing', reason: `nothing matches "${text}"${nearby(topology, text, service, host)}` }
}

function matchStage(topology: Topology, text: string, stage: string): Match {
  const { fleet } = topology
  const matches = matcher(stage)
  const stages = fleet.stages.filter((each) => matches(each.name))
  const services = new Set(stages.flatMap((each) => each.services))
  const numbers = [...topology.instances.keys()].filter((number) =>
    services.has(topology.instances[number]!.service.name),
  )
  if (numbers.length > 0) return { kind: 'found', numbers, exact: false }
  const names = fleet.stages.map((each) => each.name)
  const near = nearest(stage, names)
  const meant = near === undefined ? '' : `; did you mean "stage:${near}"?`
  const none = names.length === 0 ? '; the fleet file declares no stages' : ''
  return { kind: 'nothing', reason: `nothing matches "${text}"${meant || none}` }
}

function nearby(
  topology: Topology,
  text: string,
  service: string | undefined,
  host: string | undefined,
): string {
  const { fleet } = topology
  const services = [...fleet.services.keys()]
  const hosts = [...fleet.hosts.keys()]
  const service2 = service === undefined || isGlob(service) ? service : nearest(service, services)
  const host2 = host === undefined || isGlob(host) ? host : nearest(host, hosts)
  if (service !== undefined && host === undefined && service2 === undefined && fleet.hosts.has(service)) {
    return `; for all on that host type "@${service}"`
  }
  if (service !== undefined && fleet.services.has(service) && host !== undefined && fleet.hosts.has(host)) {
    return `: "${service}" runs on ${listing(fleet.services.get(service)!.hosts)}`
  }
  const meant = `${service2 ?? ''}${host2 === undefined ? '' : `@${host2}`}`
  const lost =
    (service !== undefined && service2 === undefined) || (host !== undefined && host2 === undefined)
  return lost || meant === text ? '' : `; did you mean "${meant}"?`
}

function labelledHosts(
  topology: Topology,
  labels: readonly string[],
): { kind: 'hosts'; names: ReadonlySet<string> } | { kind: 'malformed'; reason: string } {
  const pairs = labels.map((label) => /^([^=]+)=(.*)$/s.exec(label))
  const wrong = pairs.indexOf(null)
  if (wrong !== -1) {
    return {
      kind: 'malformed',
      reason: `"${labels[wrong]}" is no label; expected key=value, such as role=db`,
    }
  }
  const hosts = [...topology.fleet.hosts.values()].filter((host) =>
    pairs.every((pair) => Object.hasOwn(host.labels, pair![1]!) && host.labels[pair![1]!] === pair![2]),
  )
  return { kind: 'hosts', names: new Set(hosts.map((host) => host.name)) }
}

function isGlob(text: string): boolean {
  return /[*?]/.test(text)
}

function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true
  if (!isGlob(pattern)) return (name) => name === pattern
  return (name) => matchesGlob(pattern, name)
}

/** `*` is any run of characters, `?` any one. Goes back to the last star only, so it takes no exponential time. */
function matchesGlob(pattern: string, name: string): boolean {
  let at = 0
  let star = -1
  let afterStar = 0
  let position = 0
  while (position < name.length) {
    if (pattern[at] === '*') {
      star = at
      afterStar = position
      at += 1
    } else if (pattern[at] === '?' || pattern[at] === name[position]) {
      at += 1
      position += 1
    } else if (star === -1) {
      return false
    } else {
      at = star + 1
      afterStar += 1
      position = afterStar
    }
  }
  return pattern.slice(at).replaceAll('*', '') === ''
}
