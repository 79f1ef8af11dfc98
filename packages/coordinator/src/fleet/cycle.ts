/** A directed graph over dense integers: what each node leads to. */
export type Successors = (node: number) => readonly number[]

/**
 * One cycle for each knot of a graph, as its nodes in order; the last leads back to the first. Linear in nodes
 * and edges, and without recursion: a chain may be as long as the fleet is large.
 */
export function findCycles(size: number, successors: Successors): number[][] {
  const cycles: number[][] = []
  const done = new Uint8Array(size)
  /** Where on the current path a node is, from 1. */
  const depth = new Int32Array(size)
  const inCycle = new Uint8Array(size)
  const path: number[] = []
  const next: number[] = []
  for (let root = 0; root < size; root += 1) {
    if (done[root]) continue
    enter(root)
    while (path.length > 0) {
      const node = path.at(-1)!
      const targets = successors(node)
      const index = next[path.length - 1]!
      if (index === targets.length) {
        done[node] = 1
        depth[node] = 0
        path.pop()
        next.pop()
        continue
      }
      next[path.length - 1] = index + 1
      const target = targets[index]!
      if (depth[target]! > 0) note(path.slice(depth[target]! - 1))
      else if (!done[target]) enter(target)
    }
  }
  return cycles

  function enter(node: number): void {
    path.push(node)
    next.push(0)
    depth[node] = path.length
  }

  /** A knot of n nodes may hold far more cycles than n; one that shares a node with a known cycle says nothing new. */
  function note(cycle: number[]): void {
    if (cycle.some((node) => inCycle[node])) return
    for (const node of cycle) inCycle[node] = 1
    cycles.push(cycle)
  }
}
