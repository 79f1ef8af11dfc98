import { findCycles } from './cycle.ts'
import { FleetFile, managers, ServiceEntry, StageEntry } from './fleet-file.ts'
import { FleetText, type Path } from './fleet-text.ts'
import type { Fleet } from './fleet.ts'
import { addIssues } from './issue.ts'
import { itemPath, listOf, needOf, serviceOf, stagesOf } from './normalise.ts'
import type { Problem } from './problem.ts'
import { addReferenceFaults, type Entries, type Names } from './references.ts'

export type ParsedFleet =
  | { readonly kind: 'fleet'; readonly fleet: Fleet }
  | { readonly kind: 'refused'; readonly problems: Problem[] }

/** Reads the text of a fleet file. Everything that is wrong with it comes at once; never throws. */
export function parseFleet(text: string, file: string): ParsedFleet {
  const source = new FleetText(text, file)
  if (source.value === undefined) return { kind: 'refused', problems: source.problems() }
  const parsed = FleetFile.safeParse(source.value)
  if (!parsed.success) addIssues(source, parsed.error.issues, source.value)
  const entries = parsed.success ? entriesOf(parsed.data) : wellFormedEntries(source.value)
  addReferenceFaults(source, namesIn(source.value), entries)
  addCycles(source, entries)
  const problems = source.problems()
  if (problems.length > 0 || !parsed.success) return { kind: 'refused', problems }
  return { kind: 'fleet', fleet: fleetOf(parsed.data) }
}

function fleetOf(file: FleetFile): Fleet {
  const defaults = file.defaults ?? {}
  return {
    name: file.fleet,
    broker: file.broker === 'local' ? 'local' : listOf(file.broker),
    hosts: new Map(
      Object.entries(file.hosts).map(([name, host]) => [name, { name, labels: host?.labels ?? {} }]),
    ),
    services: new Map(
      Object.entries(file.services).map(([name, entry]) => [name, serviceOf(name, entry, defaults)]),
    ),
    stages: stagesOf(file),
  }
}

function entriesOf(file: FleetFile): Entries {
  return { services: new Map(Object.entries(file.services)), stages: file.stages ?? [] }
}

/** What of a faulty file can still be checked, so that the faults of one entry do not hide those of another. */
function wellFormedEntries(value: unknown): Entries {
  const services = new Map<string, Partial<ServiceEntry>>()
  for (const [name, entry] of Object.entries(mappingAt(value, 'services'))) {
    if (typeof entry === 'object' && entry !== null) services.set(name, wellFormedKeys(entry as object))
  }
  const stages = memberOf(value, 'stages')
  const parsed = Array.isArray(stages) ? stages.map((stage) => StageEntry.safeParse(stage)) : []
  return { services, stages: parsed.map((stage) => (stage.success ? stage.data : {})) }
}

function wellFormedKeys(entry: object): Partial<ServiceEntry> {
  const kept = Object.entries(entry).filter(([key, value]) => {
    if (!Object.hasOwn(ServiceEntry.shape, key)) return false
    if (Object.hasOwn(managers, key)) return true
    return ServiceEntry.shape[key as keyof ServiceEntry].safeParse(value).success
  })
  return Object.fromEntries(kept) as Partial<ServiceEntry>
}

function namesIn(value: unknown): Names {
  return {
    hosts: Object.keys(mappingAt(value, 'hosts')),
    services: Object.keys(mappingAt(value, 'services')),
  }
}

function mappingAt(value: unknown, key: string): object {
  const member = memberOf(value, key)
  return typeof member === 'object' && member !== null && !Array.isArray(member) ? member : {}
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}

interface Edge {
  readonly to: number
  /** Where the file says so. */
  readonly path: Path
}

/**
 * Notes each cycle by its path. Looking at services is enough: every service has an instance, and a need leads
 * from each instance of a service to at least one of the other, so that services go round exactly if instances do.
 */
function addCycles(source: FleetText, entries: Entries): void {
  const names = [...entries.services.keys()]
  const number = new Map(names.map((name, index) => [name, index]))
  const edges: Edge[][] = names.map((name) => needEdges(name, entries, number))
  addStageEdges(edges, entries, number)
  const targets = edges.map((list) => list.map((edge) => edge.to))
  for (const cycle of findCycles(edges.length, (node) => targets[node]!)) {
    const steps = cycle.map((node, index) => {
      const to = cycle[(index + 1) % cycle.length]!
      return { from: names[node], edge: edges[node]!.find((edge) => edge.to === to)! }
    })
    addCycle(source, steps)
  }
}

function needEdges(name: string, entries: Entries, number: ReadonlyMap<string, number>): Edge[] {
  const { needs } = entries.services.get(name)!
  return listOf(needs).flatMap((each, index) => {
    const to = number.get(needOf(each).service)
    return to === undefined ? [] : [{ to, path: itemPath(needs, ['services', name, 'needs'], index) }]
  })
}

/** A stage is a node of its own, without a name, so that two stages of n services cost 2n edges. */
function addStageEdges(edges: Edge[][], entries: Entries, number: ReadonlyMap<string, number>): void {
  let before: number | undefined
  const staged = new Set<string>()
  for (const [index, stage] of entries.stages.entries()) {
    const members = Object.entries(stage).flatMap(([name, services]) =>
      listOf(services).flatMap((service, position) => {
        const member = staged.has(service) ? undefined : number.get(service)
        staged.add(service)
        return member === undefined
          ? []
          : [{ member, path: itemPath(services, ['stages', index, name], position) }]
      }),
    )
    const node = edges.length
    edges.push(members.map(({ member, path }) => ({ to: member, path })))
    if (before !== undefined) {
      for (const { member, path } of members) edges[member]!.push({ to: before, path })
    }
    before = node
  }
}

function addCycle(source: FleetText, steps: { from: string | undefined; edge: Edge }[]): void {
  // It begins with a service, and the nodes of stages are passed over.
  const first = steps.findIndex((step) => step.from !== undefined)
  const named = [...steps.slice(first), ...steps.slice(0, first)].filter((step) => step.from !== undefined)
  const [{ from, edge }] = named as [{ from: string | undefined; edge: Edge }]
  source.add(edge.path, 'value', () => {
    const path = named.map((step, index) => {
      const to = named[(index + 1) % named.length]!.from
      return `needs ${to} (${source.place(step.edge.path, 'value')})`
    })
    const shown = path.length > 20 ? [...path.slice(0, 10), '…', ...path.slice(-9)] : path
    return named.length === 1 ? `${from} needs itself` : `a cycle of needs: ${from} ${shown.join(' ')}`
  })
}
