import type { Successors } from './cycle.ts'

/**
 * The knots of a graph (its strongly connected components; a node in no cycle is one by itself), each after all that
 * it leads to, its nodes in ascending order. By Tarjan, linear in nodes and edges and without recursion.
 */
export function knotsOf(size: number, successors: Successors): number[][] {
  const knots: number[][] = []
  /** When a node was first met, from 1; and the earliest that it is known to lead back to. */
  const met = new Int32Array(size)
  const earliest = new Int32Array(size)
  const isOpen = new Uint8Array(size)
  const open: number[] = []
  const path: number[] = []
  const targets: (readonly number[])[] = []
  const next: number[] = []
  let count = 0
  for (let root = 0; root < size; root += 1) {
    if (met[root] === 0) enter(root)
    while (path.length > 0) {
      const node = path.at(-1)!
      const target = targets.at(-1)![next[path.length - 1]!]
      if (target === undefined) {
        leave(node)
        continue
      }
      next[path.length - 1]! += 1
      if (met[target] === 0) enter(target)
      else if (isOpen[target]) earliest[node] = Math.min(earliest[node]!, met[target]!)
    }
  }
  return knots

  function enter(node: number): void {
    count += 1
    met[node] = count
    earliest[node] = count
    isOpen[node] = 1
    open.push(node)
    path.push(node)
    targets.push(successors(node))
    next.push(0)
  }

  function leave(node: number): void {
    path.pop()
    targets.pop()
    next.pop()
    const before = path.at(-1)
    if (before !== undefined) earliest[before] = Math.min(earliest[before]!, earliest[node]!)
    if (earliest[node] !== met[node]) return
    const knot = open.splice(open.lastIndexOf(node))
    for (const member of knot) isOpen[member] = 0
    knots.push(knot.toSorted((one, other) => one - other))
  }
}
