import { expect, test } from 'vitest'
import type { RunEvent } from '../run/run-event.ts'
import { actionOf, begun, done, opened, planOf, proof, seen, sent, step, take } from '../run/scene.ts'
import { narrate } from './narration.ts'

const plan = planOf([step('stop mta@mail1'), step('start db@db1'), step('prove app@app1', {}, 'running')])
const action = actionOf(1)
const holder = {
  run: 'r20261120-030000-aaaa',
  grant: 4,
  coordinator: '44444444-4444-4444-8444-444444444444',
  operator: 'bob@admin2',
  since: '2026-11-20T03:00:00.000Z',
}

function told(...events: RunEvent[]): string[] {
  const state = take(begun(plan), sent(0))
  return events.map((event) => {
    const line = narrate(state, event)
    return line === undefined ? '' : `${line.tone}: ${line.subject}  ${line.text}`
  })
}

test('what happens to a step is told in a line of its own', () => {
  const ended = { step: 0, action, reason: 'status 3: stopped', proof: proof(seen('stopped'), 0) }
  const ending = { outcome: 'changed' as const, reason: 'status 3: stopped', durationMs: 9000 }
  expect(
    told(
      sent(0),
      { type: 'done', ...ended, outcome: 'changed', durationMs: 1234 },
      { type: 'done', ...ended, outcome: 'unchanged', durationMs: 12 },
      { type: 'done', ...ended, outcome: 'observed' },
      done(1, plan),
      { type: 'done', step: 2, outcome: 'observed', reason: 'status 0: running' },
      { type: 'failed', step: 0, action, reason: 'exit status 1' },
      { type: 'unknown', step: 0, action, reason: 'no answer from mail1 within 5 s', atMs: 0 },
      { type: 'sealed', step: 0, action, reason: 'the instance is busy', retryAtMs: 0 },
      { type: 'running', step: 0, action },
      { type: 'drifted', step: 0, reason: 'it is seen running', proof: proof(seen('running'), 0) },
      { type: 'waived', step: 0, operator: 'bob@admin2', reason: 'switched off' },
      { type: 'amended', step: 0, action, ending },
    ),
  ).toMatchInlineSnapshot(`
    [
      "begun: stop mta@mail1  begins",
      "good: stop mta@mail1  stopped (1.2s)",
      "good: stop mta@mail1  was stopped already",
      "good: stop mta@mail1  is stopped",
      "good: start db@db1  started",
      "good: prove app@app1  is running",
      "bad: stop mta@mail1  failed: exit status 1",
      "doubtful: stop mta@mail1  unknown: no answer from mail1 within 5 s; asked again for up to 1m (--patience)",
      "doubtful: stop mta@mail1  did not begin: the instance is busy",
      "plain: stop mta@mail1  had begun after all, and is under way",
      "bad: stop mta@mail1  drifted: it is seen running",
      "doubtful: stop mta@mail1  waived by bob@admin2: switched off",
      "plain: stop mta@mail1  late word: changed, status 3: stopped",
    ]
  `)
})

test('an interruption tells what is waited for, in flight or unknown', () => {
  const lost: RunEvent = { type: 'unknown', step: 0, action, reason: 'no answer', atMs: 0 }
  const interrupted: RunEvent = { type: 'stopping', why: 'interrupted', operator: 'bob@admin2' }
  expect(narrate(take(begun(plan), sent(0), lost), interrupted)?.text).toBe(
    'by bob@admin2: nothing new is sent; 1 unknown step asked again for up to 1m (--patience)',
  )
})

test('what happens to a host or the run is told; what is only bookkeeping is not', () => {
  expect(
    told(
      { type: 'silent', host: 'mail1', reason: 'no answer from mail1 within 5 s', atMs: 0 },
      { type: 'claim-refused', host: 'mail1', reason: 'held by r20261120-030000-aaaa', holder },
      { type: 'fenced', host: 'mail1', holder },
      { type: 'fenced', host: 'mail1', holder: null },
      { type: 'stopping', why: 'cancelled', operator: 'bob@admin2', reason: 'wrong night' },
    ),
  ).toMatchInlineSnapshot(`
    [
      "doubtful: mail1  no answer from mail1 within 5 s; asked again for up to 1m (--patience)",
      "bad: mail1  held by r20261120-030000-aaaa",
      "bad: mail1  taken over by r20261120-030000-aaaa of bob@admin2: nothing new is sent",
      "bad: mail1  taken over by another run, which has ended: nothing new is sent",
      "doubtful: cancelled  by bob@admin2 (wrong night): nothing new is sent; 1 step in flight awaited",
    ]
  `)
  expect(
    told(
      opened(),
      { type: 'observed', service: 'mta', host: 'mail1', proof: proof(seen('stopped'), 0) },
      { type: 'done', step: 0, outcome: 'unneeded', reason: 'there is nothing to do for it' },
      { type: 'session-ended', outcome: 'succeeded' },
    ),
  ).toEqual(['', '', '', ''])
})
