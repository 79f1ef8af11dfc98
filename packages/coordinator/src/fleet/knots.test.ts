import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { knotsOf } from './knots.ts'

const graphs = fc
  .integer({ min: 1, max: 12 })
  .chain((size) =>
    fc.array(fc.array(fc.nat(size - 1), { maxLength: 3 }), { minLength: size, maxLength: size }),
  )

function reaches(edges: readonly (readonly number[])[], from: number): Set<number> {
  const seen = new Set<number>(edges[from])
  for (const node of seen) for (const target of edges[node]!) seen.add(target)
  return seen
}

test('two nodes are in one knot exactly if each leads to the other', () => {
  fc.assert(
    fc.property(graphs, (edges) => {
      const knots = knotsOf(edges.length, (node) => edges[node]!)
      const knotOf = new Map(knots.flatMap((knot, at) => knot.map((node) => [node, at] as const)))
      for (const one of edges.keys()) {
        for (const other of edges.keys()) {
          if (one === other) continue
          const isMutual = reaches(edges, one).has(other) && reaches(edges, other).has(one)
          expect(knotOf.get(one) === knotOf.get(other)).toBe(isMutual)
        }
      }
    }),
  )
})

test('a knot comes after all that it leads to', () => {
  fc.assert(
    fc.property(graphs, (edges) => {
      const knots = knotsOf(edges.length, (node) => edges[node]!)
      const knotOf = new Map(knots.flatMap((knot, at) => knot.map((node) => [node, at] as const)))
      for (const [from, targets] of edges.entries()) {
        for (const to of targets) expect(knotOf.get(to)).toBeLessThanOrEqual(knotOf.get(from)!)
      }
    }),
  )
})

test('a chain as long as the largest fleet has as many knots as nodes', () => {
  const size = 100_000
  expect(knotsOf(size, (node) => (node + 1 < size ? [node + 1] : [])).length).toBe(size)
})
