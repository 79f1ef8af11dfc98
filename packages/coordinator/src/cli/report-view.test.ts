import picocolors from 'picocolors'
import { expect, test } from 'vitest'
import { reportOf } from '../run/report.ts'
import type { RunOutcome } from '../run/run-event.ts'
import type { RunState } from '../run/run.ts'
import { actionOf, begun, done, planOf, proof, seen, sent, step, take } from '../run/scene.ts'
import { exitCodeOf } from './exit-code.ts'
import { reportView } from './report-view.ts'
import { showView } from './show.ts'

const colors = picocolors.createColors(false)
const plan = planOf([
  step('stop web@w1'),
  step('stop app@a1', { needs: [0] }),
  step('stop db@d1', { needs: [1] }),
])

function report(state: RunState, outcome: RunOutcome) {
  take(state, { type: 'session-ended', outcome })
  const ordered = { run: 'r20261120-031500-k7qd', plan: state.plan, planHash: 'ab'.repeat(32) }
  const by = { operator: 'alice@admin1', reason: 'kernel update', orderedAt: '2026-11-20T03:15:00.000Z' }
  return reportOf({ ...ordered, ...by }, state, false)
}

function afterFailure(): RunState {
  const output = { head: 'app: stopping\napp: will not stop\n', tail: 'exit 1\n', droppedBytes: 700 }
  const observation = seen('running')
  const ending = {
    outcome: 'failed' as const,
    reason: 'exit status 1',
    output,
    observation,
    durationMs: 1200,
  }
  return take(begun(plan), sent(0), done(0, plan), sent(1), {
    type: 'failed',
    step: 1,
    action: actionOf(101),
    reason: 'exit status 1',
    ending,
  })
}

test('a run that failed shows why, the end of the output, what is held, and what to type', () => {
  expect(reportView(report(afterFailure(), 'failed'), colors).join('\n')).toMatchInlineSnapshot(`
    "r20261120-031500-k7qd stop the whole fleet test: not done: a step failed; 1 of 3 steps done (1 changed), 1 failed, 1 not reached

    stop app@a1 failed: exit status 1 (seen 2026-01-01T00:00:00.000Z)
      | app: stopping
      | app: will not stop
      | … 700 bytes left out …
      | exit 1
      holds stop db@d1

    What to type next:
      filo resume r20261120-031500-k7qd                          try again what failed, once its cause is gone, and carry on
      filo waive r20261120-031500-k7qd "stop app@a1" --reason …  count it as done without proof, on your word; then resume
      filo undo r20261120-031500-k7qd                            lead back what it changed"
  `)
})

test('show tells who ordered it and each step before that', () => {
  const lines = showView(report(afterFailure(), 'failed'), colors)
  expect(lines.slice(0, 8).join('\n')).toMatchInlineSnapshot(`
    "ordered by alice@admin1 at 2026-11-20T03:15:00.000Z: kernel update
    plan abababababab, 1 session, policy hold

    step         came to  took  action    why
    stop web@w1  changed        00000000  stopped
    stop app@a1  failed   1.2s  00000000  exit status 1
    stop db@d1   waiting
    "
  `)
})

test('show tells of a step that is waived by whom and why, whatever it came to before, and cuts to the terminal', () => {
  const reason = 'its host has burnt down, and with it all that could be asked'
  const state = take(afterFailure(), { type: 'waived', step: 0, operator: 'bob@admin2', reason })
  expect(showView(report(state, 'failed'), colors, 80).slice(3, 6).join('\n')).toMatchInlineSnapshot(`
    "step         came to  took  action    why
    stop web@w1  waived         00000000  by bob@admin2: its host has burnt down, a…
    stop app@a1  failed   1.2s  00000000  exit status 1"
  `)
})

test('a run that came to its end needs one line', () => {
  const state = begun(plan)
  for (const index of plan.steps.keys()) take(state, sent(index), done(index, plan))
  expect(reportView(report(state, 'succeeded'), colors)).toMatchInlineSnapshot(`
    [
      "r20261120-031500-k7qd stop the whole fleet test: done and proven; 3 of 3 steps done (3 changed)",
    ]
  `)
})

test('a run in which all was already so says that there was nothing to do', () => {
  const state = begun(plan)
  for (const index of plan.steps.keys()) {
    const action = actionOf(index * 100 + 1)
    const ended = { step: index, action, reason: 'status 3', proof: proof(seen('stopped'), 0) }
    take(state, sent(index), { type: 'done', ...ended, outcome: 'unchanged' })
  }
  expect(reportView(report(state, 'succeeded'), colors).join()).toContain('nothing to do')
})

test('each outcome has its exit code, and an interruption only where something is left', () => {
  const code = (outcome: RunOutcome) => exitCodeOf(report(begun(plan), outcome))
  const codes = ['succeeded', 'waived', 'cancelled', 'unresolved', 'failed', 'refused'] as const
  expect(codes.map(code)).toEqual([0, 7, 5, 3, 2, 78])
  const interrupted = (outcome: RunOutcome) => {
    const stopping = { type: 'stopping', why: 'interrupted', operator: 'alice@admin1' } as const
    return exitCodeOf(report(take(begun(plan), stopping), outcome))
  }
  expect(codes.map(interrupted)).toEqual([0, 7, 130, 130, 130, 130])
})

test('a host that another run holds makes the exit code 75', () => {
  const state = begun(plan)
  take(state, {
    type: 'claim-refused',
    host: 'a1',
    reason: 'held',
    holder: {
      run: 'r20261120-030000-aaaa',
      grant: 4,
      coordinator: '44444444-4444-4444-8444-444444444444',
      operator: 'bob@admin2',
      since: '2026-11-20T03:00:00.000Z',
    },
  })
  expect(exitCodeOf(report(state, 'refused'))).toBe(75)
})

test('a host whose policy forbids the run makes the exit code 77', () => {
  const forbidden = { type: 'claim-refused', host: 'a1', reason: 'frozen', holder: null } as const
  const state = take(begun(plan), { ...forbidden, isForbidden: true })
  const told = report(state, 'refused')
  expect(exitCodeOf(told)).toBe(77)
  expect(told.next[0]!.purpose).toBe('carry on, once a1 allows it')
})
