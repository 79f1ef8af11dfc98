import type { Ending } from '@filo/protocol'
import { expect, test } from 'vitest'
import { decide } from './decide.ts'
import { interpretAftermath, interpretEnding, interpretObservation, interpretProof } from './interpret.ts'
import { actionOf, begun, boot, done, incarnation, planOf, proof, seen, sent, step, take } from './scene.ts'

const plan = planOf([step('stop web@w1'), step('stop db@d1', { needs: [0] })])
const answered = { incarnation, boot, answer: 1_000_000, isFromMemory: false }

function ending(outcome: Ending['outcome'], observation = seen('stopped')): Ending {
  return { outcome, reason: outcome, observation, durationMs: 5 }
}

test('success is believed only when the observation beside it proves it', () => {
  const state = take(begun(plan), sent(0))
  const lie = interpretEnding(state, 0, actionOf(1), ending('changed', seen('running')), answered, 0)
  expect(lie).toMatchObject([{ type: 'failed', reason: 'reported as done, but seen: running' }])
  const { observation: _, ...blind } = ending('changed')
  expect(interpretEnding(state, 0, actionOf(1), blind, answered, 0)).toMatchObject([{ type: 'failed' }])
  expect(interpretEnding(state, 0, actionOf(1), ending('changed'), answered, 0)).toMatchObject([
    { type: 'done' },
  ])
})

test('what an ending saw is as old as the sending of its action, however late it is heard of', () => {
  const state = take(begun(plan), sent(0, 1, 42))
  const [event] = interpretEnding(state, 0, actionOf(1), ending('changed'), answered, 999_999)
  expect(event).toMatchObject({ type: 'done', proof: { askedAtMs: 42, session: 1 } })
})

test('what an ending saw and is told from memory opens no gate, however fresh its action', () => {
  const state = take(begun(plan), sent(0, 1, 42))
  const told = { ...answered, isFromMemory: true }
  const events = interpretEnding(state, 0, actionOf(1), ending('changed'), told, 43)
  expect(decide(take(state, ...events), 44)).toMatchObject({ send: [], observe: [0] })
})

test('the same result twice, or of another action, makes nothing of it', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  expect(interpretEnding(state, 0, actionOf(1), ending('changed'), answered, 0)).toEqual([])
  expect(interpretEnding(state, 0, actionOf(1), ending('failed'), answered, 0)).toEqual([])
  const inFlight = take(begun(plan), sent(0))
  expect(interpretEnding(inFlight, 0, actionOf(9), ending('changed'), answered, 0)).toEqual([])
})

test('an action that is overdue or unproven is unknown, not failed', () => {
  for (const outcome of ['overdue', 'unproven'] as const) {
    const state = take(begun(plan), sent(0))
    const [event] = interpretEnding(state, 0, actionOf(1), ending(outcome), answered, 7)
    expect(event).toMatchObject({ type: 'unknown', atMs: 7 })
  }
})

test('an unknown step learns once why nobody can tell, and stays unknown since the same time', () => {
  const state = take(begun(plan), sent(0))
  take(state, { type: 'unknown', step: 0, action: actionOf(1), reason: 'no answer', atMs: 7 })
  const [event] = interpretEnding(state, 0, actionOf(1), ending('unproven'), answered, 9)
  expect(event).toMatchObject({ type: 'unknown', reason: 'unproven' })
  expect(take(state, event!).steps[0]).toMatchObject({ reason: 'unproven', unknownAtMs: 7 })
  expect(interpretEnding(state, 0, actionOf(1), ending('unproven'), answered, 11)).toEqual([])
})

test.each([
  ['proves', seen('stopped'), [{ type: 'done', outcome: 'observed', action: actionOf(1) }]],
  ['contradicts', seen('running'), [{ type: 'failed', reason: 'it is running: running' }]],
  ['is on its way', seen('stopping'), []],
  ['still cannot be told', seen('unknown', 'unknown'), []],
])('an action over and unproven is resolved by an observation that %s', (_, observation, expected) => {
  const state = take(begun(plan), sent(0))
  take(state, ...interpretEnding(state, 0, actionOf(1), ending('unproven'), answered, 0))
  expect(interpretAftermath(state, 0, actionOf(1), proof(observation, 1))).toMatchObject(expected)
})

test('a proof that is contradicted is drift; an older observation is nothing', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  const back = proof(seen('running'), 1)
  expect(interpretObservation(state, 'web', 'w1', back)).toMatchObject([
    { type: 'observed' },
    { type: 'drifted', step: 0 },
  ])
  expect(interpretObservation(state, 'web', 'w1', { ...back, answer: 1 })).toEqual([])
})

test('a service that comes up again while it is proven stopped has drifted before it is up', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  const [, event] = interpretObservation(state, 'web', 'w1', proof(seen('starting'), 1))
  expect(event).toMatchObject({ type: 'drifted' })
})

test('what cannot be seen neither proves nor contradicts', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  const events = interpretObservation(state, 'web', 'w1', proof(seen('unknown', 'unknown'), 1))
  expect(events).toMatchObject([{ type: 'observed' }])
})

test.each([
  ['proves', seen('stopped'), 0, [{ type: 'done', outcome: 'observed' }]],
  ['contradicts', seen('running'), 0, [{ type: 'failed' }]],
  ['is on its way', seen('stopping'), 0, []],
  ['is on its way for too long', seen('stopping'), 60_000, [{ type: 'failed' }]],
  ['cannot be told', seen('unknown', 'unknown'), 0, [{ type: 'unknown' }]],
])('a prove step whose instance %s', (_, observation, atMs, expected) => {
  const proving = planOf([step('prove app@a1')])
  expect(interpretProof(begun(proving), 0, 0, proof(observation, atMs))).toMatchObject(expected)
})
