import type { Observation } from '@filo/protocol'
import { listing } from '../fleet/listing.ts'
import type { Topology } from '../fleet/topology.ts'
import type { Draft, Laid, Ref } from './draft.ts'
import { layStarts } from './lay-starts.ts'
import { layStops } from './lay-stops.ts'
import { RunningProofs } from './proofs.ts'
import { includes, startScope, type Scope } from './scope.ts'

// P4. A restart stops the selection and its dependents and starts again exactly those that were running; what
//     these need besides is proven. What is unknown when the run begins refuses the restart.

export type States = ReadonlyMap<string, Pick<Observation, 'state'>>

export interface Restart {
  readonly scope: Scope
  readonly named: ReadonlySet<number>
  readonly stopping: ReadonlySet<number>
  readonly states: States
}

/** Adds the steps of a restart, or gives the reasons why there can be none. */
export function layRestart(draft: Draft, topology: Topology, restart: Restart): string[] {
  const { scope, named, stopping, states } = restart
  const reasons = silences(topology, stopping, states)
  if (reasons.length > 0) return reasons
  const again = wereUp(topology, stopping, states)
  const lacking = unmetNeeds(topology, scope, again)
  if (lacking.length > 0) return lacking

  const proofs = new RunningProofs(draft)
  const needed = startScope(topology, [...again])
  const standing = new Map(
    [...topology.instances.keys()]
      .filter((instance) => includes(needed, instance) && !includes(scope, instance))
      .map((instance) => [instance, proofs.of(instance)]),
  )
  const firstProofs = new Set([...standing.values()].map((laid) => laid.proven))
  // Nothing is stopped before all that it will need to start again has been proven to be there.
  const before = draft.all(firstProofs)
  const stops = layStops(draft, topology, { scope, named, stopping, before }, proofs)
  const starts = layStarts(draft, topology, {
    roles: (instance) => (again.has(instance) ? 'start' : standing.has(instance) ? 'prove' : 'none'),
    before: (instance) => stops.get(instance)!.proven,
    prove: (instance, needs) => passOn(standing.get(instance)!, needs),
  })
  draft.setReasons(scope.because, stops)
  draft.setReasons(needed.because, starts)
  proofs.setReasons(stops)
  for (const instance of again) draft.setBecause(starts.get(instance)!.step, stops.get(instance)!.step)
  return []

  /**
   * A proof stands before the stops, so it cannot wait for the starts of what it stands on itself, as there are
   * where something kept is between two that restart. Whoever needs it waits for those as well.
   */
  function passOn(proof: Laid, needs: readonly Ref[]): Laid {
    const starting = needs.filter((ref) => !firstProofs.has(ref))
    return { ...proof, proven: draft.all([proof.proven, ...starting])! }
  }
}

/** A start that was under way was wanted to run as much as one that had come to its end. */
function wereUp(topology: Topology, stopping: ReadonlySet<number>, states: States): Set<number> {
  const up = [...stopping].filter((instance) => {
    const { state } = states.get(topology.instances[instance]!.name)!
    return state === 'running' || state === 'starting'
  })
  return new Set(up)
}

function silences(topology: Topology, stopping: ReadonlySet<number>, states: States): string[] {
  const by = { silent: [] as string[], unknown: [] as string[], missing: [] as string[] }
  for (const instance of stopping) {
    const { name } = topology.instances[instance]!
    const state = states.get(name)?.state
    if (state === undefined) by.silent.push(name)
    else if (state === 'unknown' || state === 'missing') by[state].push(name)
  }
  const why = 'a restart starts again exactly what was running, and nobody can say whether this was'
  const reasons: string[] = []
  if (by.silent.length > 0) reasons.push(`no answer about ${listing(by.silent)}: ${why}; see "filo doctor"`)
  if (by.unknown.length > 0) reasons.push(`unknown: ${listing(by.unknown)}: ${why}; see "filo status"`)
  if (by.missing.length > 0) {
    reasons.push(
      `missing on its host: ${listing(by.missing)}: correct the fleet file, or install the service`,
    )
  }
  return reasons
}

/** What ran without what it needs could be stopped but not started again. */
function unmetNeeds(topology: Topology, scope: Scope, again: ReadonlySet<number>): string[] {
  const { instances, joins } = topology
  const joinMet = new Map<number, boolean>()
  return [...again].flatMap((instance) => {
    const lacking = [...topology.needs.of(instance)].filter((node) => !isMet(node)).flatMap(downBelow)
    if (lacking.length === 0) return []
    const needs = listing(lacking.map((each) => instances[each]!.name))
    return [
      `${instances[instance]!.name} is running, but of what it needs these are not: ${needs}. ` +
        `It could not be started again; start them first ("filo start"), or use stop and start`,
    ]
  })

  function isMet(node: number): boolean {
    if (node < instances.length) return !isDown(node)
    const known = joinMet.get(node)
    if (known !== undefined) return known
    const members = topology.needs.of(node).filter((member) => isMet(member))
    const met = members.length >= joins[node - instances.length]!.enough
    joinMet.set(node, met)
    return met
  }

  function isDown(instance: number): boolean {
    return includes(scope, instance) && !again.has(instance)
  }

  function downBelow(node: number): number[] {
    if (node < instances.length) return isDown(node) ? [node] : []
    return [...topology.needs.of(node)].flatMap(downBelow)
  }
}
