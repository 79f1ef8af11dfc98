import { expect, test } from 'vitest'
import type { HookStep } from '../plan/plan.ts'
import { isDueHost } from './hosts.ts'
import { fold, ImpossibleEvent, isNewer } from './run.ts'
import type { RunEvent } from './run-event.ts'
import {
  actionOf,
  begun,
  claimed,
  done,
  ledger,
  opened,
  planOf,
  proof,
  seen,
  sent,
  step,
  take,
} from './scene.ts'

const hook: HookStep = {
  kind: 'hook',
  at: 'after_stop',
  of: 'd1',
  service: 'db',
  host: 'd1',
  definition: '0'.repeat(64),
  around: 1,
  needs: [1],
  follows: [],
}
const plan = planOf([step('stop web@w1'), step('stop db@d1', { needs: [0] }), hook])
const unknown: RunEvent = { type: 'unknown', step: 0, action: actionOf(1), reason: 'silence', atMs: 0 }
const failed: RunEvent = { type: 'failed', step: 0, action: actionOf(1), reason: 'exit 1' }
const sealed: RunEvent = { type: 'sealed', step: 0, action: actionOf(1), reason: 'late', retryAtMs: 0 }
const waived: RunEvent = { type: 'waived', step: 0, operator: 'alice@admin1', reason: 'I looked' }

test('folding the journal again gives the live state', () => {
  const events: RunEvent[] = [
    opened(),
    claimed('w1'),
    claimed('d1'),
    sent(0),
    done(0, plan),
    sent(1),
    unknown,
  ]
  events[6] = { ...unknown, step: 1, action: actionOf(101) }
  const live = begun(plan)
  take(live, sent(0), events[4]!, sent(1), events[6])
  const { gates: _live, ...state } = live
  const { gates: _folded, ...folded } = fold(plan, events)
  expect(folded).toEqual(state)
})

test.each<[string, RunEvent[]]>([
  [
    'done without having been sent is only for what is seen',
    [{ ...failed, type: 'sealed', retryAtMs: 0 } as RunEvent],
  ],
  ['unknown is not left by sending again', [sent(0), unknown, sent(0, 2)]],
  ['what is in flight is not sent again', [sent(0), sent(0, 2)]],
  ['a result of another action than the newest', [sent(0), { ...failed, action: actionOf(77) }]],
  ['done is not undone by a late failure', [sent(0), done(0, plan), failed]],
  ['failed is not made good by a late success', [sent(0), failed, done(0, plan)]],
  ['what is in flight cannot be waived', [sent(0), waived]],
  [
    'a hook that has drifted',
    [
      sent(2),
      { type: 'done', step: 2, action: actionOf(201), outcome: 'changed', reason: 'it ran' },
      { type: 'drifted', step: 2, reason: 'it ran', proof: proof(seen('running'), 0) },
    ],
  ],
  ['a step that is not in the plan', [{ ...waived, step: 7 }]],
  ['a session that does not follow the one before', [opened(5)]],
])('%s is an impossible journal', (_, events) => {
  expect(() => take(begun(plan), ...events)).toThrow(ImpossibleEvent)
})

test('what was in flight when the coordinator died is unknown to its successor', () => {
  const state = take(begun(plan), sent(0), opened(2))
  expect(state.steps[0]).toMatchObject({ phase: 'unknown', session: 2 })
  expect([...state.unknown]).toEqual([0])
  expect(state.hosts.get('w1')).toEqual({ kind: 'unclaimed' })
})

test('a seal lets the step be sent again as a new action, and only that', () => {
  const state = take(begun(plan), sent(0), sealed, sent(0, 2))
  expect(state.steps[0]).toMatchObject({ phase: 'sent', attempts: 2, action: { id: actionOf(2), ledger } })
})

test('an action that turned out to have done nothing leaves its after-hook without a cause', () => {
  const state = take(begun(plan), sent(0), { ...done(0, plan), outcome: 'unchanged' } as RunEvent)
  expect(state.steps[0]!.mayHaveActed).toBe(false)
})

test('an action that failed may have acted, even if the next one finds nothing to do, sessions later', () => {
  const again = { ...done(0, plan, 0, 2), outcome: 'unchanged' } as RunEvent
  const state = take(begun(plan), sent(0), failed, opened(2), claimed('w1'), claimed('d1'), sent(0, 2), again)
  expect(state.steps[0]!.mayHaveActed).toBe(true)
})

test('a late word about a waived step stands beside the waiver', () => {
  const ending = { outcome: 'failed' as const, reason: 'late', durationMs: 1 }
  const state = take(begun(plan), sent(0), unknown, waived, {
    type: 'amended',
    step: 0,
    action: actionOf(1),
    ending,
  })
  expect(state.steps[0]).toMatchObject({ phase: 'waived', reason: 'by alice@admin1: I looked', ending })
})

test('a host whose every step is waived is no longer asked for', () => {
  const state = take(begun(plan), waived)
  expect([isDueHost(state, 'w1'), isDueHost(state, 'd1')]).toEqual([false, true])
})

test('an older answer does not replace a newer observation', () => {
  const older = proof(seen('running'), 5)
  const newer = proof(seen('stopped'), 5)
  const observe = (one: typeof older): RunEvent => ({
    type: 'observed',
    service: 'web',
    host: 'w1',
    proof: one,
  })
  const state = take(begun(plan), observe(newer), observe(older))
  expect(state.instances.get('web@w1')!.proof).toEqual(newer)
})

test('a newer observation is one from a later answer, a later session, or a later question', () => {
  const base = proof(seen('running'), 100)
  const other = { ...base, incarnation: ledger, boot: ledger, answer: 1 }
  expect(isNewer({ ...base, answer: base.answer + 1, askedAtMs: 0 }, base)).toBe(true)
  expect(isNewer({ ...base, answer: base.answer - 1, askedAtMs: 999 }, base)).toBe(false)
  // Of another life of its agent the answers are counted anew, and of another session the clock.
  expect(isNewer({ ...other, session: 2, askedAtMs: 0 }, base)).toBe(true)
  expect(isNewer({ ...other, session: 1, askedAtMs: 999 }, { ...base, session: 2 })).toBe(false)
  expect(isNewer({ ...other, askedAtMs: 101 }, base)).toBe(true)
  expect(isNewer({ ...other, askedAtMs: 99 }, base)).toBe(false)
})

test('a host is silent since the first question that it did not answer', () => {
  const state = begun(plan)
  take(state, { type: 'silent', host: 'w1', reason: 'no answer', atMs: 5 })
  take(state, { type: 'silent', host: 'w1', reason: 'no agent listens', atMs: 9 })
  expect(state.hosts.get('w1')).toEqual({ kind: 'silent', reason: 'no agent listens', sinceMs: 5 })
})

test('a new session looks again at what was only looked at, unless it is proven or waived', () => {
  const proving = planOf([step('prove a@h'), step('prove b@h'), step('prove c@h')])
  const state = take(
    begun(proving),
    { type: 'failed', step: 0, reason: 'it is running' },
    { type: 'done', step: 1, outcome: 'observed', reason: 'stopped', proof: proof(seen('stopped'), 0) },
    { ...waived, step: 2 },
    opened(2),
  )
  expect(state.steps.map(({ phase }) => phase)).toEqual(['waiting', 'done', 'waived'])
})
