import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { begun, done, opened, planOf, sent, step, take } from '../run/scene.ts'
import { activityLines, activityOf, type Progress } from './activity.ts'

const plan = planOf([step('stop mta@mail1'), step('stop web@web1'), step('stop db@db1', { needs: [0, 1] })])
const plain = { colors: picocolors.createColors(false), columns: 60 }

function lines(
  state: Parameters<typeof activityOf>[0],
  nowMs: number,
  progress = new Map<number, Progress>(),
) {
  return activityLines(activityOf(state), progress, nowMs, plain)
}

test('each step in flight has a line with its age and its last sign of life', () => {
  const state = take(begun(plan), sent(0, 1, 1000), sent(1, 1, 2000))
  const progress = new Map([
    [0, { phase: 'acting', line: 'flushing 2000 messages of the deferred queue to disk' }],
  ])
  expect(lines(state, 63_500, progress)).toMatchInlineSnapshot(`
    [
      "  stop mta@mail1  1m 2.5s  acting: flushing 2000 messages …",
      "  stop web@web1   1m 1.5s  ",
      "  0 of 3 steps done, 2 in progress",
    ]
  `)
})

test('what is unknown and who is silent have lines too, and what failed is counted', () => {
  const state = take(begun(plan), sent(0), sent(1))
  take(
    state,
    { type: 'unknown', step: 0, reason: 'no answer', atMs: 5000 },
    { type: 'silent', host: 'mail1', reason: 'no answer', atMs: 5000 },
    { type: 'failed', step: 1, reason: 'exit status 1' },
  )
  expect(lines(state, 6500)).toMatchInlineSnapshot(`
    [
      "  stop mta@mail1    1.5s  unknown: its agent is asked again",
      "  mail1             1.5s  does not answer",
      "  0 of 3 steps done, 2 in progress, 1 failed",
    ]
  `)
})

test('an action of an earlier session has no age: it was another clock', () => {
  const state = take(begun(plan), sent(0, 1, 900_000), opened(2), {
    type: 'running',
    step: 0,
    action: '00000000-0000-4000-8000-000000000001',
  })
  expect(activityOf(state).items).toEqual([{ kind: 'in-flight', step: 0, name: 'stop mta@mail1' }])
})

test('more items than fit are counted, and steps that are done too', () => {
  const wide = planOf(Array.from({ length: 20 }, (_, index) => step(`stop s${index}@h`)))
  const state = begun(wide)
  for (const index of wide.steps.keys()) take(state, sent(index))
  take(state, done(0, wide))
  const shown = lines(state, 100)
  expect(shown).toHaveLength(14)
  expect(shown.slice(-2)).toEqual(['  and 7 more', '  1 of 20 steps done, 19 in progress'])
})
