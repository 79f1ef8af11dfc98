import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Gates, type Standing } from './gates.ts'
import { planOf, step } from './scene.ts'

/** A random plan of steps and joins in which everything waits for earlier nodes only. */
const graphs = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 5 }))
  .chain(([steps, joins]) =>
    fc.record({
      steps: fc.constant(steps),
      // Joins stand for steps and earlier joins; steps wait for earlier steps and for joins of earlier steps.
      joins: fc.tuple(
        ...Array.from({ length: joins }, (_, at) =>
          fc.record({
            needs: fc.uniqueArray(fc.nat({ max: steps + at - 1 }), { maxLength: 4 }),
            follows: fc.uniqueArray(fc.nat({ max: steps + at - 1 }), { maxLength: 2 }),
            enough: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined }),
          }),
        ),
      ),
      waits: fc.tuple(
        ...Array.from({ length: steps }, () =>
          fc.record({
            needs: fc.uniqueArray(fc.nat({ max: steps + joins - 1 }), { maxLength: 4 }),
            follows: fc.uniqueArray(fc.nat({ max: steps + joins - 1 }), { maxLength: 2 }),
          }),
        ),
      ),
      changes: fc.array(fc.tuple(fc.nat({ max: steps - 1 }), fc.boolean(), fc.boolean()), { maxLength: 30 }),
    }),
  )

test('a gate is open exactly when all that its step waits for is over, whatever order it came in', () => {
  fc.assert(
    fc.property(graphs, ({ steps, joins, waits, changes }) => {
      const plan = planOf(
        waits.map((wait, at) => step(`stop s${at}@h`, wait)),
        joins.map(({ needs, follows, enough }) => {
          const bounded = enough === undefined ? undefined : Math.min(enough, needs.length)
          return { needs, follows, ...(bounded ? { enough: bounded } : {}) }
        }),
      )
      const gates = new Gates(plan)
      const standings: Standing[] = plan.steps.map(() => ({ met: false, ended: false }))
      const met = (node: number): boolean => {
        if (node < steps) return standings[node]!.met
        const join = plan.joins[node - steps]!
        return (
          join.needs.filter(met).length >= (join.enough ?? join.needs.length) && join.follows.every(ended)
        )
      }
      const ended = (node: number): boolean => {
        if (node < steps) return standings[node]!.ended
        const join = plan.joins[node - steps]!
        return [...join.needs, ...join.follows].every(ended)
      }
      for (const [at, isMet, isEnded] of changes) {
        const before = plan.steps.map((_, index) => [gates.isOpen(index), gates.hasNeeds(index)])
        standings[at] = { met: isMet, ended: isMet || isEnded }
        const turned = new Set<number>()
        gates.set(at, standings[at], (index) => turned.add(index))
        for (const [index, { needs, follows }] of plan.steps.entries()) {
          const isOpen = needs.every(met) && follows.every(ended)
          expect(gates.isOpen(index)).toBe(isOpen)
          const hasNeeds = needs.every(met)
          expect(gates.hasNeeds(index)).toBe(hasNeeds)
          const [wasOpen, hadNeeds] = before[index]!
          if (isOpen !== wasOpen || hasNeeds !== hadNeeds) expect(turned).toContain(index)
        }
        for (let node = 0; node < steps + joins.length; node++) expect(gates.isMet(node)).toBe(met(node))
      }
    }),
  )
})
