import type { Topology } from '../fleet/topology.ts'

// P3. `stop X` includes every instance that needs X, transitively; `start X` includes all that X needs.

/** Which instances an intention reaches, and through which of them. */
export interface Scope {
  /** For each instance: `outside`, `selected`, or the instance whose needs brought it in. */
  readonly because: Int32Array
  /** Joins that lose instances to a stop and still have enough: nobody is dragged along, but the rest must be running. */
  readonly weakened: ReadonlySet<number>
}

export const outside = -2
export const selected = -1

export function includes(scope: Scope, instance: number): boolean {
  return scope.because[instance] !== outside
}

/** Whether a stop leaves the instance alone: it is kept, and nobody named it. */
export function isKept(topology: Topology, instance: number, named: ReadonlySet<number>): boolean {
  return topology.instances[instance]!.service.keep && !named.has(instance)
}

/**
 * Everything that would lose what it needs if `roots` stopped. What is kept is neither included nor passed
 * through; those who need a join are included only when fewer than `enough` of it would remain.
 */
export function stopScope(topology: Topology, roots: readonly number[], named: ReadonlySet<number>): Scope {
  const { instances, joins, neededBy } = topology
  const because = new Int32Array(instances.length).fill(outside)
  const lost = new Int32Array(joins.length)
  const weakened = new Set<number>()
  /** Nodes that stop, and for joins the instance that was one too many. */
  const queue: { readonly node: number; readonly instance: number }[] = []
  for (const root of roots) if (!isKept(topology, root, named)) include(root, selected)
  // The list grows while it is read.
  for (const { node, instance } of queue) {
    for (const dependent of neededBy.of(node)) {
      if (dependent < instances.length) {
        if (because[dependent] === outside && !isKept(topology, dependent, named))
          include(dependent, instance)
        continue
      }
      const join = joins[dependent - instances.length]!
      const losses = (lost[dependent - instances.length]! += 1)
      const spare = join.members - join.enough
      if (losses <= spare) weakened.add(dependent)
      else weakened.delete(dependent)
      if (losses === spare + 1) queue.push({ node: dependent, instance })
    }
  }
  return { because, weakened }

  function include(instance: number, reason: number): void {
    because[instance] = reason
    queue.push({ node: instance, instance })
  }
}

/** Everything that `roots` need in order to run, but for what `staysDown`, and what only that needs. */
export function startScope(
  topology: Topology,
  roots: Iterable<number>,
  staysDown: (instance: number) => boolean = () => false,
): Scope {
  const { instances, joins, needs } = topology
  const because = new Int32Array(instances.length).fill(outside)
  const seen = new Uint8Array(joins.length)
  const queue: { readonly node: number; readonly instance: number }[] = []
  for (const root of roots) include(root, selected)
  for (const { node, instance } of queue) {
    for (const needed of needs.of(node)) {
      if (needed < instances.length) {
        if (because[needed] === outside && !staysDown(needed)) include(needed, instance)
      } else if (!seen[needed - instances.length]) {
        seen[needed - instances.length] = 1
        queue.push({ node: needed, instance })
      }
    }
  }
  return { because, weakened: new Set() }

  function include(instance: number, reason: number): void {
    because[instance] = reason
    queue.push({ node: instance, instance })
  }
}

/** Every node above `instances`, whatever is kept and however much remains: what a stop has to be ordered against. */
export function dependentsOf(topology: Topology, scope: Scope): Uint8Array {
  const reached = new Uint8Array(topology.instances.length + topology.joins.length)
  const queue = [...topology.instances.keys()].filter((instance) => includes(scope, instance))
  for (const node of queue) reached[node] = 1
  for (const node of queue) {
    for (const dependent of topology.neededBy.of(node)) {
      if (reached[dependent]) continue
      reached[dependent] = 1
      queue.push(dependent)
    }
  }
  return reached
}
