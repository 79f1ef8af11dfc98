import { findCycles } from './cycle.ts'
import type { FleetText, Path } from './fleet-text.ts'
import type { Need } from './fleet.ts'
import { itemPath, listOf, needOf } from './normalise.ts'
import type { Entries } from './references.ts'

interface Edge {
  readonly to: number
  /** Where the file says so. */
  readonly path: Path
}

/**
 * Notes each cycle by its path. Looking at services is enough: every service has an instance, and a need leads
 * from each instance of a service to at least one of the other, so that services go round exactly if instances do.
 */
export function addCycleFaults(source: FleetText, entries: Entries): void {
  const names = [...entries.services.keys()]
  const number = new Map(names.map((name, index) => [name, index]))
  const ofStages: Edge[][] = names.map(() => [])
  addStageEdges(ofStages, entries, number)
  const targets = ofStages.map((edges, node) => {
    const needed = node < names.length ? needsOf(names[node]!, entries) : []
    const known = needed.map(({ service }) => number.get(service)).filter((to) => to !== undefined)
    return [...known, ...edges.map(({ to }) => to)]
  })
  for (const cycle of findCycles(targets.length, (node) => targets[node]!)) {
    const steps = cycle.map((node, index) => {
      const from = names[node]
      const to = cycle[(index + 1) % cycle.length]!
      const edges = [...(from === undefined ? [] : needEdges(from, entries, number)), ...ofStages[node]!]
      return { from, edge: edges.find((edge) => edge.to === to)! }
    })
    addCycle(source, steps)
  }
}

function needsOf(name: string, entries: Entries): Need[] {
  return listOf(entries.services.get(name)!.needs).map(needOf)
}

/** With their places, which only faults have a use for. */
function needEdges(name: string, entries: Entries, number: ReadonlyMap<string, number>): Edge[] {
  const { needs } = entries.services.get(name)!
  return needsOf(name, entries).flatMap(({ service }, index) => {
    const to = number.get(service)
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
