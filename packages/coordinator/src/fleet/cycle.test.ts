import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { findCycles } from './cycle.ts'

const graphs = fc.array(fc.uniqueArray(fc.nat(11), { maxLength: 3 }), { minLength: 12, maxLength: 12 })

test('what is found goes round, each edge of it one of the graph', () => {
  fc.assert(
    fc.property(graphs, (targets) => {
      const cycles = findCycles(targets.length, (node) => targets[node]!)
      const broken = cycles.filter((cycle) =>
        cycle.some((node, index) => !targets[node]!.includes(cycle[(index + 1) % cycle.length]!)),
      )
      expect(broken).toEqual([])
    }),
  )
})

test('nothing is found exactly where nodes can be taken away, one after another, that lead nowhere', () => {
  fc.assert(
    fc.property(graphs, (targets) => {
      const left = new Set(targets.keys())
      let before = 0
      while (before !== left.size) {
        before = left.size
        for (const node of left) if (!targets[node]!.some((target) => left.has(target))) left.delete(node)
      }
      expect(findCycles(targets.length, (node) => targets[node]!).length === 0).toBe(left.size === 0)
    }),
  )
})

test('two knots that do not touch are two cycles', () => {
  const targets = [[1], [0], [3], [2, 0]]
  expect(findCycles(4, (node) => targets[node]!)).toEqual([
    [0, 1],
    [2, 3],
  ])
})
