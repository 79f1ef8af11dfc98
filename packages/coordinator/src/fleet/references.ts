import type { FleetFile, ServiceEntry } from './fleet-file.ts'
import type { FleetText, Path } from './fleet-text.ts'
import { dotted } from './issue.ts'
import { listing } from './listing.ts'
import { managerKeys } from './manager-schema.ts'
import { hooksOf, itemPath, listOf, managersOf, needOf } from './normalise.ts'
import { hint } from './problem.ts'

/** What a file gives names to, whether or not the thing itself is well described. */
export interface Names {
  readonly hosts: readonly string[]
  readonly services: readonly string[]
}

/** The parts of a file that are well formed each by itself. */
export interface Entries {
  /** Of a faulty service only the keys that are well formed; of managers whichever are there. */
  readonly services: ReadonlyMap<string, Partial<ServiceEntry>>
  readonly stages: NonNullable<FleetFile['stages']>
}

/** Notes every fault that no single entry shows: what refers to what is not there, or cannot be. */
export function addReferenceFaults(text: FleetText, names: Names, entries: Entries): void {
  const known = { hosts: new Set(names.hosts), services: new Set(names.services) }
  for (const [name, entry] of entries.services) {
    const path: Path = ['services', name]
    addManagerFaults(text, path, entry)
    addHostFaults(text, path, entry, known.hosts, names)
    addNeedFaults(text, path, entry, known.services, names, entries)
    for (const [at, hook] of hooksOf(entry)) {
      if (hook.host === undefined || known.hosts.has(hook.host)) continue
      addUnknown(text, [...path, 'hooks', at, 'host'], 'host', hook.host, names.hosts)
    }
  }
  addStageFaults(text, entries, known.services, names)
}

/** Notes hosts whose agent is to be somebody where there is no agent. */
export function addUserFaults(text: FleetText, { broker, hosts }: FleetFile): void {
  if (broker !== 'local') return
  for (const [name, entry] of Object.entries(hosts)) {
    if (entry?.agent_user === undefined) continue
    const path = ['hosts', name, 'agent_user']
    const why = 'with "broker: local" there is no agent, and filo itself does it all, as whoever called it'
    text.add(path, 'key', () => `${dotted(path)}: ${why}; take it out, or name a broker`)
  }
}

function addUnknown(text: FleetText, path: Path, what: string, name: string, known: readonly string[]): void {
  // Where nothing of the kind is declared, that is the fault, and it is noted already.
  if (known.length === 0) return
  text.add(path, 'value', () => `${dotted(path)}: there is no ${what} "${name}"${hint(name, known)}`)
}

function addManagerFaults(text: FleetText, path: Path, entry: Partial<ServiceEntry>): void {
  const [first, ...others] = managersOf(entry)
  if (first === undefined) {
    text.add(path, 'key', () => `${dotted(path)}: no manager; expected one of ${managerKeys.join(', ')}`)
  }
  for (const other of others) {
    text.add(
      [...path, other],
      'key',
      () => `${dotted(path)}: two managers, ${first} and ${other}; expected one`,
    )
  }
}

function addHostFaults(
  text: FleetText,
  path: Path,
  entry: Partial<ServiceEntry>,
  known: ReadonlySet<string>,
  names: Names,
): void {
  const seen = new Set<string>()
  for (const [index, host] of listOf(entry.hosts).entries()) {
    const at = itemPath(entry.hosts, [...path, 'hosts'], index)
    if (!known.has(host)) addUnknown(text, at, 'host', host, names.hosts)
    if (seen.has(host)) text.add(at, 'value', () => `${dotted(at)}: host "${host}" is given twice`)
    seen.add(host)
  }
  const { enough } = entry
  if (enough !== undefined && entry.hosts !== undefined && enough > seen.size) {
    const at = [...path, 'enough']
    text.add(
      at,
      'value',
      () => `${dotted(at)}: expected at most ${seen.size}, its number of instances; found ${enough}`,
    )
  }
}

function addNeedFaults(
  text: FleetText,
  path: Path,
  entry: Partial<ServiceEntry>,
  known: ReadonlySet<string>,
  names: Names,
  entries: Entries,
): void {
  const seen = new Set<string>()
  for (const [index, each] of listOf(entry.needs).entries()) {
    const need = needOf(each)
    const at = (): Path => itemPath(entry.needs, [...path, 'needs'], index)
    const nameAt = (): Path => (typeof each === 'string' ? at() : [...at(), 'service'])
    if (!known.has(need.service)) {
      addUnknown(text, nameAt(), 'service', need.service, names.services)
      continue
    }
    if (seen.has(need.service)) {
      text.add(nameAt(), 'value', () => `${dotted(nameAt())}: "${need.service}" is needed twice`)
    }
    seen.add(need.service)
    const needed = entries.services.get(need.service)
    if (need.scope !== 'same-host' || needed?.hosts === undefined) continue
    const there = new Set(listOf(needed.hosts))
    const lacking = listOf(entry.hosts).filter((host) => !there.has(host))
    if (lacking.length === 0) continue
    text.add([...at(), 'scope'], 'value', () => {
      return `${dotted(at())}: same-host, but "${need.service}" is not on ${listing(lacking)}`
    })
  }
}

function addStageFaults(text: FleetText, entries: Entries, known: ReadonlySet<string>, names: Names): void {
  const stageOf = new Map<string, string>()
  const stages = new Set<string>()
  for (const [index, stage] of entries.stages.entries()) {
    for (const [name, services] of Object.entries(stage)) {
      const path: Path = ['stages', index, name]
      if (stages.has(name)) text.add(path, 'key', () => `${dotted(path)}: stage "${name}" is given twice`)
      stages.add(name)
      for (const [position, service] of listOf(services).entries()) {
        const at = itemPath(services, path, position)
        if (!known.has(service)) addUnknown(text, at, 'service', service, names.services)
        const before = stageOf.get(service)
        if (before !== undefined) {
          text.add(at, 'value', () => `${dotted(at)}: "${service}" is already in stage "${before}"`)
        }
        stageOf.set(service, name)
      }
    }
  }
}
