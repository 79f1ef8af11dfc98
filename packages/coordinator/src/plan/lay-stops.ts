import type { Topology } from '../fleet/topology.ts'
import type { Draft, Laid, Ref } from './draft.ts'
import type { RunningProofs } from './proofs.ts'
import { dependentsOf, includes, isKept, type Scope } from './scope.ts'

// P2. Stop order is start order reversed: a stop waits for the stops of those who need the instance.
// R3 needs this of a plan: a stop waits for a proof of every instance in the plan that needs it, directly or
// through others, also through some that are not in the plan themselves (kept, or spared because enough remain).
// Those become joins of what is above them: they pass the order on and add nothing to wait for.

export interface StopOrder {
  readonly scope: Scope
  /** Instances given by name: only these are stopped although they are kept. */
  readonly named: ReadonlySet<number>
  /** Which of the scope are stopped; the others are only proven to be. */
  readonly stopping: ReadonlySet<number>
  /** What every stop waits for besides. */
  readonly before: Ref | undefined
}

/** Adds the stops to the draft, and gives stops and proofs by instance. */
export function layStops(
  draft: Draft,
  topology: Topology,
  order: StopOrder,
  proofs: RunningProofs,
): Map<number, Laid> {
  const { instances } = topology
  const { scope, stopping } = order
  const laid = new Map<number, Laid>()
  /** By node: what must be proven before what the node needs may stop. */
  const gates = new Map<number, Ref | undefined>()
  const orderGates = new Map<number, Ref | undefined>()
  const survivors = new Map<number, Ref | undefined>()
  const reached = dependentsOf(topology, scope)

  for (let instance = instances.length - 1; instance >= 0; instance -= 1) {
    if (!reached[instance]) continue
    const needs = provenAbove(instance)
    if (!includes(scope, instance)) {
      gates.set(instance, draft.all(needs))
      continue
    }
    laid.set(
      instance,
      stopping.has(instance)
        ? stop(instance, needs)
        : draft.prove(instance, 'stopped', { needs, follows: [] }),
    )
    gates.set(instance, laid.get(instance)!.proven)
  }
  return laid

  function stop(instance: number, above: readonly Ref[]): Laid {
    const needs = [...above]
    for (const node of topology.neededBy.of(instance)) {
      const ref = scope.weakened.has(node) ? survivorsOf(node, instance) : undefined
      if (ref !== undefined) needs.push(ref)
    }
    if (order.before !== undefined) needs.push(order.before)
    return draft.act('stop', instance, { needs, follows: endedAbove(instance) })
  }

  function provenAbove(node: number): Ref[] {
    return [...topology.neededBy.of(node)].map(gateOf).filter((ref) => ref !== undefined)
  }

  /** Of a join one ref for all that need it: every member waits for the same. */
  function gateOf(node: number): Ref | undefined {
    if (node >= instances.length && !gates.has(node)) gates.set(node, draft.all(provenAbove(node)))
    return gates.get(node)
  }

  /** P3: `order` only orders steps that both are in the plan. */
  function endedAbove(node: number): Ref[] {
    const direct = [...topology.followedBy.of(node)].flatMap((dependent) =>
      stopping.has(dependent) ? laid.get(dependent)!.ended : [],
    )
    const joins = [...topology.neededBy.of(node)].filter((above) => above >= instances.length)
    return [...direct, ...joins.map(orderGateOf).filter((ref) => ref !== undefined)]
  }

  function orderGateOf(join: number): Ref | undefined {
    if (!orderGates.has(join)) orderGates.set(join, draft.all(endedAbove(join), 'follows'))
    return orderGates.get(join)
  }

  /**
   * Enough of the join would remain, so those who need it stay up and live on the rest: it must be proven that the
   * rest is there, or the stop would take from them what they need. Not so where nobody is left to need it.
   */
  function survivorsOf(join: number, because: number): Ref | undefined {
    if (!survivors.has(join))
      survivors.set(join, hasLeftDependents(join) ? provenRest(join, because) : undefined)
    return survivors.get(join)
  }

  function provenRest(join: number, because: number): Ref | undefined {
    const rest = [...topology.needs.of(join)].filter((member) => !includes(scope, member))
    const { enough } = topology.joins[join - instances.length]!
    return draft.all(
      rest.map((member) => proofs.of(member, because).step),
      'needs',
      enough,
    )
  }

  function hasLeftDependents(join: number): boolean {
    return topology.neededBy
      .of(join)
      .some((node) =>
        node < instances.length
          ? !includes(scope, node) && !isKept(topology, node, order.named)
          : hasLeftDependents(node),
      )
  }
}
