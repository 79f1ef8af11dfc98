import type { Observation } from '@filo/protocol'
import { listing } from '../fleet/listing.ts'
import type { Topology } from '../fleet/topology.ts'
import type { Draft, Laid, Ref } from './draft.ts'
import { layStarts } from './lay-starts.ts'
import { layStops } from './lay-stops.ts'
import { Halting } from './halting.ts'
import { RunningProofs } from './proofs.ts'
import { includes, startScope, type Scope } from './scope.ts'
import { turnsOf } from './turns.ts'

// P4. A restart stops the selection and its dependents and starts again exactly those that were running; what
//     these need besides is proven. What is unknown when the run begins refuses the restart. A reboot is a restart of
//     all that runs on a host, with the boot of the host in the middle of it.

export type States = ReadonlyMap<string, Pick<Observation, 'state'>>

export interface Restart {
  readonly scope: Scope
  readonly named: ReadonlySet<number>
  readonly stopping: ReadonlySet<number>
  readonly states: States
  /** The hosts that are rebooted between stops and starts. */
  readonly hosts: ReadonlySet<string>
}

/** Adds the steps of a restart, or gives the reasons why there can be none. */
export function layRestart(draft: Draft, topology: Topology, restart: Restart): string[] {
  const { scope, named, stopping, states, hosts } = restart
  const verb = hosts.size > 0 ? 'reboot' : 'restart'
  const reasons = silences(topology, stopping, states, verb)
  if (reasons.length > 0) return reasons
  const again = wereUp(topology, stopping, states)
  const lacking = unmetNeeds(topology, scope, again)
  if (lacking.length > 0) return lacking

  const proofs = new RunningProofs(draft)
  const needed = startScope(topology, again, (instance) => includes(scope, instance) && !again.has(instance))
  const standing = new Map(
    [...topology.instances.keys()]
      .filter((instance) => includes(needed, instance) && !includes(scope, instance))
      .map((instance) => [instance, proofs.of(instance)]),
  )
  const firstProofs = new Set([...standing.values()].map((laid) => laid.proven))
  // Nothing is stopped before all that it will need to start again has been proven to be there.
  const before = draft.all(firstProofs)
  const stops = layStops(draft, topology, { scope, named, stopping, before }, proofs)
  const halting = new Halting(draft, topology, stops)
  const starts = layStarts(draft, topology, {
    turns: turnsOf(topology, hosts, (instance) => again.has(instance)),
    roles: (instance) => (again.has(instance) ? 'start' : standing.has(instance) ? 'prove' : 'none'),
    // That a service was stopped is past once its host has booted, which may start it.
    before: (instance) => draft.rebootOf(topology.instances[instance]!.host) ?? stops.get(instance)!.proven,
    after: stopsToOutlast(draft, topology, stops, again),
    prove: (instance, needs) => passOn(standing.get(instance)!, needs),
    reboot: (host, needs) => halting.lay('reboot', host, needs),
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

/**
 * Gives for an instance what must have stopped, if it will, before the instance starts again. Where some of several are
 * enough, it could start on those that are back while others have yet to stop, and these wait until it is stopped:
 * neither would come further. So do the stops of what is not started again, below something that is kept. Where all are
 * needed, their own starts come after their stops.
 */
function stopsToOutlast(
  draft: Draft,
  topology: Topology,
  stops: ReadonlyMap<number, Laid>,
  again: ReadonlySet<number>,
): (instance: number) => readonly Ref[] {
  const { instances, joins, needs } = topology
  const known = new Map<number, Ref | undefined>()
  return (instance) => [...needs.of(instance)].flatMap((node) => below(node) ?? [])

  function below(node: number): Ref | undefined {
    if (!known.has(node)) known.set(node, draft.all(refsOf(node), 'follows'))
    return known.get(node)
  }

  function refsOf(node: number): readonly Ref[] {
    const stop = stops.get(node)
    if (stop !== undefined) return again.has(node) ? [] : stop.ended
    const members = [...needs.of(node)]
    const join = joins[node - instances.length]
    if (join !== undefined && join.enough < join.members) return members.flatMap(stopsOf)
    return members.flatMap((member) => below(member) ?? [])
  }

  /** Only of instances some are enough. */
  function stopsOf(instance: number): readonly Ref[] {
    return stops.get(instance)?.ended ?? refsOf(instance)
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

function silences(
  topology: Topology,
  stopping: ReadonlySet<number>,
  states: States,
  verb: 'restart' | 'reboot',
): string[] {
  const by = { silent: [] as string[], unknown: [] as string[], missing: [] as string[] }
  for (const instance of stopping) {
    const { name } = topology.instances[instance]!
    const state = states.get(name)?.state
    if (state === undefined) by.silent.push(name)
    else if (state === 'unknown' || state === 'missing') by[state].push(name)
  }
  const why = `a ${verb} starts again exactly what was running, and nobody can say whether this was`
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
