import { limits } from '@filo/protocol'
import { expect, test } from 'vitest'
import type { HookStep } from '../plan/plan.ts'
import { auditOf } from './audit.ts'
import type { RunEvent } from './run-event.ts'
import { actionOf, claimed, done, ledger, opened, planOf, proof, seen, sent, step } from './scene.ts'

const run = 'r20261120-031500-k7qd'
const hook: HookStep = {
  kind: 'hook',
  at: 'after_stop',
  of: 'w1',
  service: 'web',
  host: 'h1',
  definition: '0'.repeat(64),
  around: 0,
  needs: [0],
  follows: [],
}
const plan = planOf([step('stop web@w1'), hook, step('reboot w1', { needs: [0] })])
const holder = {
  run: 'r20261120-030000-aaaa',
  grant: 4,
  coordinator: ledger,
  operator: 'bob@admin2',
  since: '2026-11-20T03:00:00.000Z',
}
const about = { step: 0, action: actionOf(1) }
const ending = { outcome: 'failed' as const, reason: 'exit status 1', durationMs: 5 }

function told(event: RunEvent): string {
  const draft = auditOf(run, plan, event)
  if (draft === undefined) return 'nothing'
  const { run: of, ...data } = draft.data as { run?: string }
  expect(of).toBe(run)
  return `${draft.type} ${draft.subject} ${JSON.stringify(data).replaceAll('"', '')}`
}

test.each<[RunEvent, string]>([
  [opened(), `filo.run.opened ${run} {operator:alice@admin1,session:1,policy:hold,verb:stop,selection:[]}`],
  [
    { type: 'session-ended', outcome: 'succeeded' },
    `filo.run.ended ${run} {outcome:success,result:succeeded}`,
  ],
  [{ type: 'session-ended', outcome: 'waived' }, `filo.run.ended ${run} {outcome:success,result:waived}`],
  [
    { type: 'session-ended', outcome: 'unresolved' },
    `filo.run.ended ${run} {outcome:unknown,result:unresolved}`,
  ],
  [{ type: 'session-ended', outcome: 'refused' }, `filo.run.ended ${run} {outcome:refused,result:refused}`],
  [
    { type: 'stopping', why: 'interrupted', operator: 'bob@admin2' },
    `filo.run.stopping ${run} {operator:bob@admin2,result:interrupted}`,
  ],
  [
    { type: 'stopping', why: 'cancelled', operator: 'bob@admin2', reason: 'too late' },
    `filo.run.stopping ${run} {operator:bob@admin2,result:cancelled,reason:too late}`,
  ],
  [claimed('w1'), 'filo.host.claimed w1 {outcome:success,grant:1}'],
  [
    { type: 'silent', host: 'w1', reason: 'no answer', atMs: 5 },
    'filo.host.silent w1 {outcome:unknown,reason:no answer}',
  ],
  [
    { type: 'claim-refused', host: 'w1', reason: 'held', holder },
    'filo.host.refused w1 {outcome:refused,reason:held}',
  ],
  [{ type: 'fenced', host: 'w1', holder }, 'filo.host.fenced w1 {outcome:refused,by:r20261120-030000-aaaa}'],
  [{ type: 'fenced', host: 'w1', holder: null }, 'filo.host.fenced w1 {outcome:refused}'],
  [
    { type: 'rebooted', host: 'w1', boot: ledger, seenAt: holder.since },
    `filo.host.rebooted w1 {boot:${ledger},seenAt:${holder.since}}`,
  ],
  [
    { type: 'going-down', step: 2, action: actionOf(1), hasLeft: true, atMs: 0 },
    `filo.step.going-down w1 {step:reboot w1,action:${actionOf(1)},hasLeft:true}`,
  ],
  [{ type: 'observed', service: 'web', host: 'w1', proof: proof(seen('stopped'), 0) }, 'nothing'],
  [sent(0), `filo.step.sent web@w1 {step:stop web@w1,action:${actionOf(1)},grant:1}`],
  [
    done(0, plan),
    `filo.step.done web@w1 {step:stop web@w1,action:${actionOf(1)},outcome:success,result:changed,reason:stopped}`,
  ],
  [
    { type: 'done', step: 1, outcome: 'unneeded', reason: 'nothing was stopped' },
    'filo.step.done web@w1 {step:after_stop web@w1 on h1,outcome:success,result:unneeded,reason:nothing was stopped}',
  ],
  [
    { type: 'failed', ...about, reason: 'exit status 1' },
    `filo.step.failed web@w1 {step:stop web@w1,action:${actionOf(1)},outcome:failure,reason:exit status 1}`,
  ],
  [
    { type: 'drifted', step: 0, reason: 'it is back', proof: proof(seen('running'), 1) },
    'filo.step.drifted web@w1 {step:stop web@w1,outcome:failure,reason:it is back}',
  ],
  [
    { type: 'unknown', ...about, reason: 'silence', atMs: 1 },
    `filo.step.unknown web@w1 {step:stop web@w1,action:${actionOf(1)},outcome:unknown,reason:silence}`,
  ],
  [
    { type: 'sealed', ...about, reason: 'late', retryAtMs: 1 },
    `filo.step.sealed web@w1 {step:stop web@w1,action:${actionOf(1)},outcome:refused,reason:late}`,
  ],
  [{ type: 'running', ...about }, `filo.step.running web@w1 {step:stop web@w1,action:${actionOf(1)}}`],
  [
    { type: 'waived', step: 0, operator: 'bob@admin2', reason: 'I looked' },
    'filo.step.waived web@w1 {step:stop web@w1,opens:[after_stop web@w1 on h1,reboot w1],outcome:success,operator:bob@admin2,reason:I looked}',
  ],
  [
    { type: 'amended', ...about, ending },
    `filo.step.amended web@w1 {step:stop web@w1,action:${actionOf(1)},outcome:unknown,result:failed,reason:exit status 1}`,
  ],
])('of %j the audit tells %s', (event, expected) => {
  expect(told(event)).toBe(expected)
})

test('a reason longer than an audit event may hold is cut, and says so', () => {
  const reason = 'x'.repeat(limits.textChars + 1)
  const draft = auditOf(run, plan, { type: 'failed', ...about, reason })
  const { reason: kept } = draft!.data as { reason: string }
  expect(kept.length).toBeLessThanOrEqual(limits.textChars)
  expect(kept).not.toBe(reason.slice(0, limits.textChars))
})

test('of a waiver that opens more gates than an event can hold, it says how many more', () => {
  const waiters = Array.from({ length: 53 }, (_, index) => step(`stop s${index}@h`, { needs: [0] }))
  const wide = planOf([step('stop web@w1'), ...waiters])
  const draft = auditOf(run, wide, { type: 'waived', step: 0, operator: 'bob@admin2', reason: 'I looked' })
  const { opens } = draft!.data as { opens: string[] }
  expect(opens).toHaveLength(51)
  expect(opens.slice(49)).toEqual(['stop s49@h', 'and 3 more'])
})
