import { expect, test } from 'vitest'
import { reportOf, type RunReport } from './report.ts'
import { evolve, fold, type RunState } from './run.ts'
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

const run = 'r20261120-031500-k7qd'
// Web and cron need app, app needs db: stopped from the web down.
const plan = planOf([
  step('stop web@w1'),
  step('stop cron@w1'),
  step('stop app@a1', { needs: [0] }),
  step('stop db@d1', { needs: [1, 2] }),
])
const ending = {
  outcome: 'failed' as const,
  reason: 'exit status 1',
  observation: seen('running'),
  output: { head: 'app: will not stop\n', tail: '', droppedBytes: 0 },
  durationMs: 1200,
}

const holder = {
  run: 'r20261120-030000-aaaa',
  grant: 4,
  coordinator: ledger,
  operator: 'bob@admin2',
  since: '2026-11-20T03:00:00.000Z',
}

function failed(index: number): RunEvent {
  return { type: 'failed', step: index, action: actionOf(index * 100 + 1), reason: 'exit status 1', ending }
}

function report(state: RunState, isOwned = false, standingOfRun?: Parameters<typeof reportOf>[3]): RunReport {
  const ordered = {
    run,
    plan: state.plan,
    planHash: '0'.repeat(64),
    operator: 'alice@admin1',
    reason: undefined,
  }
  return reportOf({ ...ordered, orderedAt: '2026-11-20T03:15:00.000Z' }, state, isOwned, standingOfRun)
}

function ended(
  state: RunState,
  outcome: 'failed' | 'unresolved' | 'cancelled' | 'refused' | 'succeeded',
): RunState {
  return take(state, { type: 'session-ended', outcome })
}

/** The part that changes from test to test. */
function gist({ outcome, counts, blockers, next }: RunReport): object {
  return {
    outcome,
    counts: Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : [])),
    blockers: blockers.map(({ name, is, why, holds }) => `${name} ${is}: ${why}; holds ${holds.join(', ')}`),
    next: next.map(({ command }) => command.replaceAll(run, 'RUN')),
  }
}

test('a failed step is named with why, what it holds, and the ways out', () => {
  const state = begun(plan)
  take(state, sent(0), done(0, plan), sent(1), done(1, plan), sent(2), failed(2))
  expect(gist(report(ended(state, 'failed')))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "stop app@a1 failed: exit status 1; holds stop db@d1",
      ],
      "counts": [
        "4 steps",
        "2 changed",
        "1 failed",
        "1 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo waive RUN "stop app@a1" --reason …",
        "filo undo RUN",
      ],
      "outcome": "failed",
    }
  `)
})

test('what does not depend on a failure is offered to --continue', () => {
  const state = begun(plan)
  take(state, sent(0), failed(0))
  const { next } = report(ended(state, 'failed'))
  expect(next.map(({ command }) => command)).toContain(`filo resume ${run} --continue`)
})

test('a step behind a step behind a failure is not offered to --continue', () => {
  const chain = planOf([step('stop a@h'), step('stop b@h', { needs: [0] }), step('stop c@h', { needs: [1] })])
  const state = fold(chain, [opened(), claimed('h'), sent(0), failed(0)])
  const { next } = report(ended(state, 'failed'))
  expect(next.map(({ command }) => command).join()).not.toContain('--continue')
})

test('a join that is not satisfied passes on what it holds', () => {
  const joined = planOf(
    [step('stop a@h'), step('stop b@h'), step('stop db@h', { needs: [3] })],
    [{ needs: [0, 1], follows: [] }],
  )
  const state = fold(joined, [opened(), claimed('h'), sent(0), failed(0)])
  expect(report(state).blockers.map(({ holds }) => holds)).toEqual([['stop db@h']])
})

test('a silent host is named with what waits for it, and with the way out if it is gone for good', () => {
  const state = fold(plan, [opened(), claimed('w1'), claimed('d1')])
  evolve(state, { type: 'silent', host: 'a1', reason: 'no answer from a1 within 5 s', atMs: 0 })
  expect(gist(report(ended(state, 'unresolved')))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "a1 silent: no answer from a1 within 5 s; holds stop app@a1",
      ],
      "counts": [
        "4 steps",
        "4 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo doctor",
        "filo waive RUN "stop app@a1" --reason …",
      ],
      "outcome": "unresolved",
    }
  `)
})

test('of several silent hosts all are named in what to type next', () => {
  const state = fold(plan, [opened(), claimed('w1')])
  for (const host of ['a1', 'd1']) {
    evolve(state, { type: 'silent', host, reason: `no agent listens for ${host}`, atMs: 0 })
  }
  const { next } = report(ended(state, 'unresolved'))
  expect(next.map(({ command, purpose }) => `${command.replace(run, 'RUN')}: ${purpose}`))
    .toMatchInlineSnapshot(`
    [
      "filo resume RUN: carry on, once all of these answer: a1, d1; do their filo-agents run?",
      "filo doctor: see why they do not answer",
      "filo waive RUN "stop app@a1" --reason …: if a1 is gone for good; then resume",
      "filo waive RUN "stop db@d1" --reason …: if d1 is gone for good; then resume",
    ]
  `)
})

test.each([
  [
    'interrupted',
    ['filo resume r20261120-030000-aaaa', `filo resume ${run}`, `filo resume ${run} --take-over`],
  ],
  ['running', ['filo show r20261120-030000-aaaa', `filo resume ${run}`, `filo resume ${run} --take-over`]],
  ['succeeded', [`filo resume ${run}`, `filo resume ${run} --take-over`]],
  ['waived', [`filo resume ${run}`, `filo resume ${run} --take-over`]],
  [undefined, [`filo resume ${run}`, `filo resume ${run} --take-over`]],
] as const)('a host that is held by a run which is %s leads straight to that run', (standing, commands) => {
  const state = fold(plan, [opened(), claimed('w1'), claimed('d1')])
  evolve(state, { type: 'claim-refused', host: 'a1', reason: 'held', holder })
  const { next } = report(ended(state, 'refused'), false, () => standing)
  expect(next.map(({ command }) => command)).toEqual(commands)
})

test('a host that another run holds is named with its holder, and may be taken over', () => {
  const state = fold(plan, [opened(), claimed('w1'), claimed('d1')])
  evolve(state, { type: 'claim-refused', host: 'a1', reason: 'held by r20261120-030000-aaaa', holder })
  const told = report(ended(state, 'refused'))
  expect(told.blockers[0]).toMatchObject({ heldBy: holder, since: holder.since })
  expect(gist(told)).toMatchInlineSnapshot(`
    {
      "blockers": [
        "a1 refused: held by r20261120-030000-aaaa; holds stop app@a1",
      ],
      "counts": [
        "4 steps",
        "4 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo resume RUN --take-over",
      ],
      "outcome": "refused",
    }
  `)
})

test.each([
  [holder, 'r20261120-030000-aaaa of bob@admin2 has taken the host over', ['filo resume RUN --take-over']],
  [null, 'another run has held the host meanwhile, and has given it back', []],
])('a host that was taken over by %o is named with who did, as far as it is known', (by, why, more) => {
  const state = take(begun(plan), { type: 'fenced', host: 'a1', holder: by })
  const told = report(ended(state, 'refused'))
  expect(told.blockers).toMatchObject([{ name: 'a1', is: 'fenced', why, holds: ['stop app@a1'] }])
  expect(told.next.map(({ command }) => command.replaceAll(run, 'RUN'))).toEqual(['filo resume RUN', ...more])
})

test('a resume waits for a holder to end, or for a host that refuses by itself to be put right', () => {
  const held = take(begun(plan), { type: 'claim-refused', host: 'a1', reason: 'held', holder })
  expect(report(held).next[0]!.purpose).toBe(`carry on, once ${holder.run} of ${holder.operator} has ended`)
  const refusing = take(begun(plan), {
    type: 'claim-refused',
    host: 'a1',
    reason: 'its disk is full',
    holder: null,
  })
  expect(report(refusing)).toMatchObject({
    blockers: [{ name: 'a1', is: 'refused', why: 'its disk is full' }],
    next: [{ purpose: 'carry on, once a1 has been put right' }],
  })
  const forbidden = { type: 'claim-refused', host: 'a1', reason: 'frozen', holder: null } as const
  expect(report(take(begun(plan), { ...forbidden, isForbidden: true }))).toMatchObject({
    blockers: [{ name: 'a1', is: 'refused', why: 'frozen', isForbidden: true }],
    next: [{ purpose: 'carry on, once a1 allows it' }],
  })
})

test('a silent host is given up step by step, and is in the way of nobody once all of its steps are waived', () => {
  const state = take(begun(plan), { type: 'silent', host: 'w1', reason: 'no answer', atMs: 0 })
  expect(report(ended(state, 'unresolved')).next.at(-1)).toEqual({
    command: `filo waive ${run} "stop web@w1" --reason …`,
    purpose: 'so for each of the 2 on w1, if that is gone for good; then resume',
  })
  const waived = { type: 'waived', operator: 'alice@admin1', reason: 'burnt down' } as const
  take(state, { ...waived, step: 0 }, { ...waived, step: 1 })
  expect(report(state)).toMatchObject({ blockers: [], counts: { waived: 2, waiting: 2 } })
})

test('a host that goes down is reported with since when, and one that failed to without what was seen of it', () => {
  const down = planOf([step('stop web@w1'), step('reboot w1', { needs: [0] })])
  const going = { boot: ledger, since: '2026-11-20T03:20:00.000Z' }
  const state = take(begun(down), sent(0), done(0, down), { ...sent(1), going } as RunEvent)
  expect(report(state, true).steps[1]).toMatchObject({ phase: 'sent', since: going.since })
  take(state, { type: 'failed', step: 1, action: actionOf(101), reason: 'w1 is still up' })
  const told = report(state)
  expect(told.steps[1]).not.toHaveProperty('since')
  expect(told.blockers).toEqual([
    { kind: 'step', name: 'reboot w1', is: 'failed', why: 'w1 is still up', holds: [] },
  ])
})

test('what is lost again holds those that still wait for it, and not what is done or has enough without it', () => {
  const mixed = planOf(
    [
      step('stop a@h'),
      step('stop b@h'),
      step('stop c@h', { needs: [0] }),
      step('stop d@h', { needs: [0] }),
      step('stop e@h', { needs: [5] }),
    ],
    [{ needs: [0, 1], follows: [], enough: 1 }],
  )
  const state = fold(mixed, [opened(), claimed('h'), sent(0), sent(1)])
  take(state, done(0, mixed), done(1, mixed), sent(2), done(2, mixed))
  take(state, { type: 'drifted', step: 0, reason: 'it is back', proof: proof(seen('running'), 1) })
  expect(report(state).blockers).toMatchObject([{ name: 'stop a@h', is: 'drifted', holds: ['stop d@h'] }])
})

test('what is lost again holds what waits for it beyond what was done between them', () => {
  const state = take(begun(plan), sent(0), done(0, plan), sent(2), done(2, plan))
  take(state, { type: 'drifted', step: 0, reason: 'it is back', proof: proof(seen('running'), 1) })
  expect(report(state).blockers).toMatchObject([{ name: 'stop web@w1', holds: ['stop db@d1'] }])
})

test('an unknown step is asked about by a resume, or waived', () => {
  const state = begun(plan)
  take(state, sent(0), { type: 'unknown', step: 0, reason: 'no answer from w1 within 5 s', atMs: 0 })
  expect(gist(report(ended(state, 'unresolved')))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "stop web@w1 unknown: no answer from w1 within 5 s; holds stop app@a1",
      ],
      "counts": [
        "4 steps",
        "1 unknown",
        "3 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo waive RUN "stop web@w1" --reason …",
        "filo resume RUN --continue",
      ],
      "outcome": "unresolved",
    }
  `)
})

test('a proof that cannot be renewed is named when nothing else is in the way', () => {
  const state = begun(plan)
  take(state, sent(0), done(0, plan))
  take(state, {
    type: 'observed',
    service: 'web',
    host: 'w1',
    proof: proof(seen('unknown', 'unknown'), 11_000),
  })
  expect(gist(report(ended(state, 'unresolved')))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "stop web@w1 doubtful: it was proven, and is now seen unknown: unknown; holds stop app@a1",
      ],
      "counts": [
        "4 steps",
        "1 changed",
        "3 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo waive RUN "stop web@w1" --reason …",
        "filo resume RUN --continue",
        "filo undo RUN",
      ],
      "outcome": "unresolved",
    }
  `)
})

test('a run that was cancelled has no blocker and can be resumed', () => {
  const state = begun(plan)
  take(state, sent(0), { type: 'stopping', why: 'cancelled', operator: 'bob@admin2' }, done(0, plan))
  expect(gist(report(ended(state, 'cancelled')))).toMatchInlineSnapshot(`
    {
      "blockers": [],
      "counts": [
        "4 steps",
        "1 changed",
        "3 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo undo RUN",
      ],
      "outcome": "cancelled",
    }
  `)
})

test('of a run whose process died, what was in flight is unknown', () => {
  const state = begun(plan)
  take(state, sent(0))
  expect(report(state, true)).toMatchObject({ outcome: 'running', blockers: [] })
  expect(gist(report(state, false))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "stop web@w1 unknown: the process that sent it has ended; the agent knows what became of it; holds stop app@a1",
      ],
      "counts": [
        "4 steps",
        "1 inFlight",
        "3 waiting",
      ],
      "next": [
        "filo resume RUN",
      ],
      "outcome": "interrupted",
    }
  `)
})

test('a run that has not begun stands as ordered, and one that succeeded asks for nothing', () => {
  expect(report(fold(plan, []))).toMatchObject({ outcome: 'ordered', sessions: 0, blockers: [] })
  const state = begun(plan)
  for (const index of plan.steps.keys()) take(state, sent(index), done(index, plan))
  expect(report(ended(state, 'succeeded'))).toMatchObject({ outcome: 'succeeded', blockers: [], next: [] })
})

test('a step is reported with its action, time and output', () => {
  const state = begun(plan)
  take(state, sent(0), failed(0))
  expect(report(state).steps.slice(0, 2)).toEqual([
    {
      step: 'stop web@w1',
      phase: 'failed',
      reason: 'exit status 1',
      action: actionOf(1),
      durationMs: 1200,
      output: ending.output,
    },
    { step: 'stop cron@w1', phase: 'waiting' },
  ])
})

test('what was proven before its host rebooted, and was not seen again, is named when nothing else is in the way', () => {
  const state = begun(plan)
  const since = '2026-01-01T00:00:00.000Z'
  take(state, sent(0), done(0, plan), { type: 'rebooted', host: 'w1', boot: actionOf(9), seenAt: since })
  const { blockers, next } = report(ended(state, 'unresolved'))
  expect(blockers).toMatchObject([
    { name: 'stop web@w1', is: 'doubtful', why: expect.stringContaining('w1 has rebooted since') },
  ])
  expect(next[0]).toMatchObject({ command: expect.stringContaining('filo resume') })
})

test('a run that stands still although nothing has failed names the steps whose turn had come', () => {
  const state = begun(plan)
  take(state, sent(0), done(0, plan))
  expect(gist(report(ended(state, 'unresolved')))).toMatchInlineSnapshot(`
    {
      "blockers": [
        "stop cron@w1 doubtful: its turn has come, but what it waits for could not all be seen within the same 10 s: answers were lost, or looking takes too long; holds stop db@d1",
        "stop app@a1 doubtful: its turn has come, but what it waits for could not all be seen within the same 10 s: answers were lost, or looking takes too long; holds stop db@d1",
      ],
      "counts": [
        "4 steps",
        "1 changed",
        "3 waiting",
      ],
      "next": [
        "filo resume RUN",
        "filo waive RUN "stop cron@w1" --reason …",
        "filo resume RUN --continue",
        "filo undo RUN",
      ],
      "outcome": "unresolved",
    }
  `)
})

test('a run that could not see in time what it only looks at says so', () => {
  const state = begun(planOf([step('prove app@a1')]))
  expect(report(ended(state, 'unresolved')).blockers).toMatchObject([
    { name: 'prove app@a1', is: 'doubtful', why: expect.stringContaining('no answer came in time') },
  ])
})
