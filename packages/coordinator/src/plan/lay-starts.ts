import type { Topology } from '../fleet/topology.ts'
import type { Draft, Laid, Ref } from './draft.ts'
import type { Turn } from './turns.ts'

// P2. A start waits for the starts, or proofs, of what the instance needs.

export interface StartOrder {
  readonly turns: Iterable<Turn>
  readonly roles: (instance: number) => 'start' | 'prove' | 'none'
  /** What a start waits for besides: in a restart its own stop, in a reboot that of its host. */
  readonly before: (instance: number) => Ref | undefined
  /** What must have ended besides: in a restart, stops that wait for its own. */
  readonly after: (instance: number) => readonly Ref[]
  /** The proof that an instance runs, where `needs` are what it stands on itself. */
  readonly prove: (instance: number, needs: readonly Ref[]) => Laid
  /** Lays the reboot of a host, where `needs` are what its services stand on elsewhere. */
  readonly reboot: (host: string, needs: readonly Ref[]) => void
}

/** Adds the starts to the draft, and gives starts and proofs by instance. */
export function layStarts(draft: Draft, topology: Topology, order: StartOrder): Map<number, Laid> {
  const { instances, joins } = topology
  const laid = new Map<number, Laid>()
  /** By node: what must be proven before what needs the node may start. */
  const gates = new Map<number, Ref | undefined>()
  const orderGates = new Map<number, Ref | undefined>()

  for (const turn of order.turns) {
    if (turn.kind === 'host') {
      order.reboot(turn.host, gatesOf(turn.needs))
      continue
    }
    const { instance } = turn
    const role = order.roles(instance)
    if (role === 'none') continue
    const needs = provenBelow(instance)
    const step = role === 'start' ? start(instance, needs) : order.prove(instance, needs)
    laid.set(instance, step)
    gates.set(instance, step.proven)
  }
  return laid

  function start(instance: number, below: readonly Ref[]): Laid {
    const before = order.before(instance)
    const needs = before === undefined ? below : [before, ...below]
    const follows = [...endedBelow(instance), ...order.after(instance)]
    return draft.act('start', instance, { needs, follows })
  }

  function provenBelow(node: number): Ref[] {
    return gatesOf(topology.needs.of(node))
  }

  function gatesOf(nodes: Iterable<number>): Ref[] {
    return [...nodes].map(gateOf).filter((ref) => ref !== undefined)
  }

  function gateOf(node: number): Ref | undefined {
    if (node >= instances.length && !gates.has(node)) {
      gates.set(node, draft.all(provenBelow(node), 'needs', joins[node - instances.length]!.enough))
    }
    return gates.get(node)
  }

  function endedBelow(instance: number): Ref[] {
    return [...topology.follows.of(instance)].flatMap((node) => {
      if (node < instances.length) return endedOf(node)
      if (!orderGates.has(node)) {
        orderGates.set(node, draft.all([...topology.needs.of(node)].flatMap(endedOf), 'follows'))
      }
      return orderGates.get(node) ?? []
    })
  }

  function endedOf(instance: number): readonly Ref[] {
    return order.roles(instance) === 'start' ? laid.get(instance)!.ended : []
  }
}
