import { expect, test } from 'vitest'
import { planOf, step } from '../run/scene.ts'
import { Standstill } from './standstill.ts'

const plan = planOf([step('stop web@w1')])
const tickMs = 100

test('a session in which nothing moves ends after its patience, the longest limit of its services and a minute', () => {
  const standstill = new Standstill(plan, 10_000, 0)
  let nowMs = 0
  while (!standstill.isReached(nowMs)) nowMs += tickMs
  expect(nowMs).toBe(10_000 + 60_000 + 60_000 + tickMs)
})

test('hours in which the machine slept are not held against the run', () => {
  const standstill = new Standstill(plan, 10_000, 0)
  expect(standstill.isReached(8 * 3_600_000)).toBe(false)
})
