import type { Ending } from '@filo/protocol'
import { expect, test } from 'vitest'
import type { HookStep } from '../plan/plan.ts'
import { decide } from './decide.ts'
import { interpretAftermath, interpretEnding, interpretObservation, interpretProof } from './interpret.ts'
import type { RunEvent } from './run-event.ts'
import { actionOf, begun, boot, done, incarnation, planOf, proof, seen, sent, step, take } from './scene.ts'

const plan = planOf([step('stop web@w1'), step('stop db@d1', { needs: [0] })])
const hookAfter: HookStep = {
  kind: 'hook',
  at: 'after_stop',
  of: 'w1',
  service: 'web',
  host: 'w1',
  definition: '0'.repeat(64),
  around: 0,
  needs: [],
  follows: [],
}
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

test('an action that failed or was cut short has failed, with what was seen of it if anything was', () => {
  for (const outcome of ['failed', 'interrupted'] as const) {
    const state = take(begun(plan), sent(0))
    const seenAfter = interpretEnding(state, 0, actionOf(1), ending(outcome), answered, 7)
    expect(seenAfter).toMatchObject([
      { type: 'failed', reason: outcome, proof: { observation: seen('stopped') } },
    ])
    const { observation: _, ...blind } = ending(outcome)
    expect(interpretEnding(state, 0, actionOf(1), blind, answered, 7)[0]).not.toHaveProperty('proof')
  }
})

test('a hook that ended well has run: it wants nothing to be seen', () => {
  const hooked = planOf([step('stop web@w1'), { ...hookAfter, needs: [0] }])
  const state = take(begun(hooked), sent(0), done(0, hooked), sent(1))
  const { observation: _, ...blind } = ending('changed')
  expect(interpretEnding(state, 1, actionOf(101), blind, answered, 0)).toMatchObject([
    { type: 'done', step: 1 },
  ])
  expect(interpretAftermath(state, 1, actionOf(101), proof(seen('stopped'), 0))).toEqual([])
})

test('a step that is unknown stays so when its action is only overdue', () => {
  const state = take(begun(plan), sent(0))
  take(state, ...interpretEnding(state, 0, actionOf(1), ending('overdue'), answered, 0))
  expect(interpretEnding(state, 0, actionOf(1), ending('overdue'), answered, 1)).toEqual([])
})

test('what became of a waived action is kept beside the waiver, once, and only its last word', () => {
  const state = take(begun(plan), sent(0))
  take(state, ...interpretEnding(state, 0, actionOf(1), ending('overdue'), answered, 0))
  take(state, { type: 'waived', step: 0, operator: 'alice@admin1', reason: 'I looked' })
  const hear = (action: string, outcome: Ending['outcome']): RunEvent[] =>
    interpretEnding(state, 0, action, ending(outcome), answered, 1)
  expect(hear(actionOf(1), 'overdue')).toEqual([])
  expect(hear(actionOf(9), 'failed')).toEqual([])
  expect(hear(actionOf(1), 'failed')).toMatchObject([{ type: 'amended', step: 0, action: actionOf(1) }])
  take(state, ...hear(actionOf(1), 'failed'))
  expect(hear(actionOf(1), 'changed')).toEqual([])
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

test('an observation of what no step has touched yet, or of one in flight, is only noted', () => {
  const state = take(begun(plan), sent(0))
  expect(interpretObservation(state, 'db', 'd1', proof(seen('running'), 1))).toMatchObject([
    { type: 'observed' },
  ])
  expect(interpretObservation(state, 'web', 'w1', proof(seen('running'), 1))).toMatchObject([
    { type: 'observed' },
  ])
})

test('what was proven running and is not ready for longer than a start may take has drifted', () => {
  const starting = planOf([step('start web@w1')])
  const state = take(begun(starting), sent(0), done(0, starting))
  const look = (atMs: number): RunEvent[] => {
    const events = interpretObservation(state, 'web', 'w1', proof({ ...seen('running'), ready: 'no' }, atMs))
    take(state, ...events)
    return events
  }
  expect(look(1_000).map(({ type }) => type)).toEqual(['observed'])
  expect(look(60_999).map(({ type }) => type)).toEqual(['observed'])
  expect(look(61_000).map(({ type }) => type)).toEqual(['observed', 'drifted'])
})

test('what cannot be told for long has not drifted: nobody knows', () => {
  const state = take(begun(plan), sent(0), done(0, plan))
  const hidden = (atMs: number): RunEvent[] =>
    interpretObservation(state, 'web', 'w1', proof(seen('unknown', 'unknown'), atMs))
  take(state, ...hidden(1_000))
  expect(hidden(99_000).map(({ type }) => type)).toEqual(['observed'])
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

test('a prove step that is over, and one that is no prove step, take nothing from an observation', () => {
  const proving = planOf([step('prove app@a1'), step('stop db@d1', { needs: [0] })])
  const state = begun(proving)
  take(state, ...interpretProof(state, 0, 0, proof(seen('stopped'), 0)))
  expect(interpretProof(state, 0, 0, proof(seen('running'), 1))).toEqual([])
  expect(interpretProof(state, 1, 0, proof(seen('stopped'), 1))).toEqual([])
})

test('a prove step becomes unknown once, and may still be proven or refuted', () => {
  const hidden = proof(seen('unknown', 'unknown'), 0)
  const state = begun(planOf([step('prove app@a1')]))
  take(state, ...interpretProof(state, 0, 0, hidden))
  expect(interpretProof(state, 0, 0, { ...hidden, askedAtMs: 5 })).toEqual([])
  expect(interpretProof(state, 0, 0, proof(seen('stopped'), 6))).toMatchObject([{ type: 'done' }])
})

test('a prove step that is to run is given the time of a start', () => {
  const state = begun(planOf([step('prove app@a1', {}, 'running')]))
  const slow = (atMs: number): RunEvent[] => interpretProof(state, 0, 0, proof(seen('starting'), atMs))
  expect([slow(59_999), slow(60_000)]).toMatchObject([[], [{ type: 'failed' }]])
})

test('what is seen of a step whose action was heard of is nothing to it', () => {
  const state = take(begun(plan), sent(0))
  expect(interpretAftermath(state, 0, actionOf(1), proof(seen('stopped'), 1))).toEqual([])
})
