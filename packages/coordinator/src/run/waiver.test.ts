import { expect, test } from 'vitest'
import { begun, done, planOf, sent, step, take } from './scene.ts'
import { judgeWaiver } from './waiver.ts'

const plan = planOf([step('stop web@w1'), step('stop db@d1', { needs: [0] })])

test('a step that waits may be waived', () => {
  expect(judgeWaiver(begun(plan), 'stop db@d1')).toMatchObject({ kind: 'allowed', step: 1 })
})

test('a waiver names the gates that it opens: the steps that wait for it, through joins too', () => {
  const joined = planOf(
    [step('stop web@w1'), step('stop cron@w1'), step('stop db@d1', { needs: [3] })],
    [{ needs: [0, 1], follows: [] }],
  )
  const detail = (name: string) => judgeWaiver(begun(joined), name).detail
  expect(detail('stop cron@w1')).toBe(
    '"stop cron@w1" counts as done, without proof, on your word; it no longer holds "stop db@d1"',
  )
  expect(detail('stop db@d1')).toBe(
    '"stop db@d1" counts as done, without proof, on your word; no step waits for it',
  )
})

test('a step that is done may be waived, for its proof is asked for again', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  expect(judgeWaiver(state, 'stop web@w1')).toMatchObject({ kind: 'allowed', step: 0 })
})

test('a step in flight, one that is waived and one that is not there are refused with why', () => {
  const state = take(begun(plan), sent(0))
  expect(judgeWaiver(state, 'stop web@w1')).toMatchObject({
    kind: 'refused',
    detail: expect.stringMatching(/in flight/),
  })
  take(state, { type: 'waived', step: 1, operator: 'alice@admin1', reason: 'gone' })
  expect(judgeWaiver(state, 'stop db@d1')).toMatchObject({
    kind: 'refused',
    detail: expect.stringMatching(/waived already/),
  })
  expect(judgeWaiver(state, 'stop db')).toMatchObject({
    kind: 'refused',
    detail: expect.stringMatching(/no step "stop db"; did you mean "stop db@d1"\?/),
  })
})
