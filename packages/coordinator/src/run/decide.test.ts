import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HookStep } from '../plan/plan.ts'
import { actionsPerHost, attemptsPerSession, decide, outcomeOf, proofAgeMs } from './decide.ts'
import type { FailurePolicy, RunEvent } from './run-event.ts'
import { fold } from './run.ts'
import {
  actionOf,
  begun,
  boot,
  claimed,
  done,
  opened,
  planOf,
  proof,
  seen,
  sent,
  step,
  take,
} from './scene.ts'

const chain = planOf([
  step('stop web@w1'),
  step('stop app@a1', { needs: [0] }),
  step('stop db@d1', { needs: [1] }),
])
const pair = planOf([step('stop one@a'), step('stop two@b')])

function failed(index: number): RunEvent {
  return { type: 'failed', step: index, action: actionOf(index * 100 + 1), reason: 'exit 1' }
}
function unknown(index: number, atMs = 0): RunEvent {
  return { type: 'unknown', step: index, action: actionOf(index * 100 + 1), reason: 'silence', atMs }
}

test('a step is sent when its own needs are proven, not when a wave is over', () => {
  const plan = planOf([step('stop a@h1'), step('stop b@h2'), step('stop c@h3', { needs: [0] })])
  expect(decide(begun(plan), 0).send).toEqual([0, 1])
  expect(decide(take(begun(plan), sent(0), sent(1), done(0, plan)), 0).send).toEqual([2])
})

test('nothing is sent before every host of the plan has answered', () => {
  const state = take(begun(chain), { type: 'silent', host: 'd1', reason: 'no answer', atMs: 0 })
  expect(decide(state, 0)).toMatchObject({ send: [], end: null })
  expect(decide(state, 60_001)).toMatchObject({ send: [], end: 'unresolved' })
})

test('a proof that was asked for too long ago is asked for again before the gate opens', () => {
  const state = take(begun(chain), sent(0), done(0, chain, 100))
  expect(decide(state, 100 + proofAgeMs)).toMatchObject({ send: [1], observe: [] })
  expect(decide(state, 101 + proofAgeMs)).toMatchObject({ send: [], observe: [0] })
  const renewed: RunEvent = {
    type: 'observed',
    service: 'web',
    host: 'w1',
    proof: proof(seen('stopped'), 9000),
  }
  expect(decide(take(state, renewed), 101 + proofAgeMs)).toMatchObject({ send: [1], observe: [] })
})

test('a doubt from before an action ended does not keep its proof from being renewed', () => {
  const hidden = proof(seen('unknown', 'unknown'), 10)
  const state = take(begun(chain), sent(0), { type: 'observed', service: 'web', host: 'w1', proof: hidden })
  expect(decide(take(state, done(0, chain, 20)), 70_000)).toMatchObject({ send: [], observe: [0], end: null })
})

test.each<[string, RunEvent]>([
  [
    'another incarnation',
    { ...(claimed('w1') as Extract<RunEvent, { type: 'claimed' }>), incarnation: boot },
  ],
  ['another boot', { ...(claimed('w1') as Extract<RunEvent, { type: 'claimed' }>), boot: actionOf(9) }],
])('a proof from %s of the host opens nothing', (_, reclaimed) => {
  const state = take(begun(chain), sent(0), done(0, chain), reclaimed)
  expect(decide(state, 1)).toMatchObject({ send: [], observe: [0] })
})

test('a proof of an earlier session opens nothing, whatever its clock says', () => {
  const state = take(begun(chain), sent(0), done(0, chain, 5), opened(2), ...['w1', 'a1', 'd1'].map(claimed))
  expect(decide(state, 6)).toMatchObject({ send: [], observe: [0] })
})

test('a failure holds everything, or only what depends on it', () => {
  expect(decide(take(begun(pair), sent(0), failed(0)), 0)).toMatchObject({ send: [], end: 'failed' })
  const state = take(begun(pair, 'continue'), sent(0), failed(0))
  expect(decide(state, 0)).toMatchObject({ send: [1], end: null })
  expect(decide(take(begun(chain, 'continue'), sent(0), failed(0)), 0)).toMatchObject({
    send: [],
    end: 'failed',
  })
})

test('what is in flight is awaited even after a failure', () => {
  const state = take(begun(pair), sent(0), sent(1), failed(0))
  expect(decide(state, 0).end).toBeNull()
})

test('unknown holds like a failure, for as long as there is patience', () => {
  const state = take(begun(pair), sent(0), unknown(0, 10))
  expect(decide(state, 11)).toMatchObject({ send: [], end: null })
  expect(decide(state, 60_010)).toMatchObject({ send: [], end: 'unresolved' })
})

test('no passing of time ever opens a gate behind an unknown step', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      fc.constantFrom<FailurePolicy>('hold', 'continue'),
      (nowMs, policy) => {
        const state = take(begun(chain, policy), sent(0), unknown(0))
        expect(decide(state, nowMs).send).toEqual([])
      },
    ),
  )
})

test('drift holds', () => {
  const state = take(begun(chain), sent(0), done(0, chain))
  take(state, { type: 'drifted', step: 0, reason: 'it is back', proof: proof(seen('running'), 1) })
  expect(decide(state, 1)).toMatchObject({ send: [], end: 'failed' })
})

test.each<FailurePolicy>(['hold', 'continue'])(
  'what drifts closes the gates behind it again (%s)',
  (policy) => {
    const again = [opened(2, policy), ...['w1', 'a1', 'd1'].map(claimed)]
    const back: RunEvent = {
      type: 'drifted',
      step: 0,
      reason: 'it is back',
      proof: proof(seen('running'), 1),
    }
    const state = take(begun(chain, policy), sent(0), done(0, chain), back)
    expect(decide(state, 1).send).toEqual([])
    expect(decide(take(state, ...again), 1).send).toEqual([0])
    expect(decide(take(state, sent(0, 2)), 1).send).toEqual([])
  },
)

test.each<FailurePolicy>(['hold', 'continue'])(
  'what drifts is settled again before anything goes on beyond what was done between them (%s)',
  (policy) => {
    const state = take(begun(chain, policy), sent(0), done(0, chain), sent(1), {
      type: 'drifted',
      step: 0,
      reason: 'it is back',
      proof: proof(seen('running'), 1),
    })
    take(state, done(1, chain))
    expect(decide(state, 1).send).toEqual([])
    take(state, opened(2, policy), ...['w1', 'a1', 'd1'].map(claimed))
    const down: RunEvent = {
      type: 'observed',
      service: 'app',
      host: 'a1',
      proof: proof(seen('stopped'), 0, 2),
    }
    expect(decide(take(state, down), 1).send).toEqual([0])
    expect(decide(take(state, sent(0, 2)), 1).send).toEqual([])
    const settled = { ...done(0, chain, 0, 2), proof: proof(seen('stopped'), 0, 2) } as RunEvent
    expect(decide(take(state, settled), 1).send).toEqual([2])
  },
)

test('a chain of ten thousand services may drift at its end', () => {
  const steps = Array.from({ length: 10_000 }, (_, at) =>
    step(`stop s${at}@h`, at > 0 ? { needs: [at - 1] } : {}),
  )
  const long = planOf([...steps, step('stop db@h', { needs: [9999] })])
  const state = begun(long)
  for (const index of steps.keys()) take(state, sent(index), done(index, long))
  expect(state.open).toEqual(new Set([10_000]))
  take(state, { type: 'drifted', step: 0, reason: 'it is back', proof: proof(seen('running'), 1) })
  expect(state.open).toEqual(new Set([0]))
})

test('what was seen before an action is no proof after it, though another process of the agent tells its end', () => {
  const plan = planOf([step('start db@d1'), step('start app@a1', { needs: [0] })])
  const before: RunEvent = { type: 'observed', service: 'db', host: 'd1', proof: proof(seen('running'), 900) }
  const state = take(begun(plan), before, sent(0))
  const told = { ...proof(seen('running'), -1e9), incarnation: actionOf(9), answer: 1 }
  const end = {
    type: 'done',
    step: 0,
    action: actionOf(1),
    outcome: 'changed',
    reason: '',
    proof: told,
  } as const
  expect(decide(take(state, end), 1000)).toMatchObject({ send: [], observe: [0] })
})

test('a resume tries again what failed and drifted, and nothing that is done', () => {
  const state = take(
    begun(chain),
    sent(0),
    done(0, chain),
    sent(1),
    failed(1),
    opened(2),
    ...['w1', 'a1', 'd1'].map(claimed),
  )
  expect(decide(state, 0)).toMatchObject({ send: [], observe: [0] })
  take(state, { type: 'observed', service: 'web', host: 'w1', proof: proof(seen('stopped'), 0, 2) })
  expect(decide(state, 0).send).toEqual([1])
})

test('a step waived before its turn opens no gate until what it waits for itself is done', () => {
  const row = planOf([
    step('stop web@w1'),
    step('stop app@a1', { needs: [0] }),
    step('stop db@d1', { needs: [1] }),
  ])
  const waived: RunEvent = { type: 'waived', step: 1, operator: 'alice@admin1', reason: 'burnt down' }
  const state = take(begun(row), waived)
  expect(decide(state, 0).send).toEqual([0])
  take(state, sent(0), done(0, row))
  expect(decide(state, 0).send).toEqual([2])
})

test('a waiver opens the gate without a proof', () => {
  const state = take(begun(chain), sent(0), unknown(0))
  take(state, { type: 'waived', step: 0, operator: 'alice@admin1', reason: 'I looked' })
  expect(decide(state, 1e9).send).toEqual([1])
})

test('what only follows waits for an end, good or bad, and not for a proof', () => {
  const plan = planOf([step('stop web@w1'), step('stop mta@m1', { follows: [0] })])
  const state = take(begun(plan, 'continue'), sent(0))
  expect(decide(state, 0).send).toEqual([])
  expect(decide(take(state, failed(0)), 0).send).toEqual([1])
})

test('what waits for a waived step waits for what that follows to be tried again', () => {
  const plan = planOf([
    step('stop web@w1'),
    step('stop mta@m1', { follows: [0] }),
    step('start mta@m1', { needs: [1] }),
  ])
  const waived: RunEvent = { type: 'waived', step: 1, operator: 'alice@admin1', reason: 'I looked' }
  const state = take(begun(plan, 'continue'), sent(0), failed(0), waived, opened(2, 'continue'))
  take(state, claimed('m1'))
  expect(decide(state, 0).send, 'web cannot be tried yet').toEqual([2])
  take(state, claimed('w1'))
  expect(decide(state, 0).send).toEqual([0])
})

test('one of several is enough where the plan says so', () => {
  const plan = planOf(
    [step('start mta@m1'), step('start mta@m2'), step('start web@w1', { needs: [3] })],
    [{ needs: [0, 1], follows: [], enough: 1 }],
  )
  const state = take(begun(plan, 'continue'), sent(0), sent(1), done(0, plan), failed(1))
  expect(decide(state, 0).send).toEqual([2])
})

test('a sealed step is sent again, but not for ever, and not before its time', () => {
  const state = begun(pair)
  for (let attempt = 1; attempt <= attemptsPerSession; attempt++) {
    expect(decide(state, 50).send).toContain(0)
    const action = actionOf(attempt)
    take(state, sent(0, attempt), { type: 'sealed', step: 0, action, reason: 'busy', retryAtMs: 50 })
    expect(decide(state, 49).send).not.toContain(0)
  }
  expect(decide(state, 50).send).not.toContain(0)
})

test('a host is not asked for more than a few actions at once', () => {
  const plan = planOf(Array.from({ length: actionsPerHost + 5 }, (_, at) => step(`stop s${at}@h`)))
  expect(decide(begun(plan), 0).send).toHaveLength(actionsPerHost)
})

test('a prove step is observed, and what needs it waits for that', () => {
  const plan = planOf([step('prove app@a1'), step('stop db@d1', { needs: [0] })])
  const state = begun(plan)
  expect(decide(state, 0)).toMatchObject({ send: [], observe: [0] })
  take(state, { type: 'done', step: 0, outcome: 'observed', reason: '', proof: proof(seen('stopped'), 0) })
  expect(decide(state, 0)).toMatchObject({ send: [1], observe: [] })
})

test('a start of a restart that is tried again does not wait for its instance to be stopped once more', () => {
  const plan = planOf([step('stop app@a1'), step('start app@a1', { needs: [0] })])
  const state = take(begun(plan), sent(0), done(0, plan), sent(1), failed(1), opened(2), claimed('a1'))
  const up = { ...proof(seen('running'), 5, 2) }
  take(state, { type: 'observed', service: 'app', host: 'a1', proof: up })
  expect(decide(state, 6)).toMatchObject({ send: [1], observe: [] })
})

const hookOf = (at: HookStep['at'], around: number, needs: number[]): HookStep => ({
  kind: 'hook',
  at,
  of: 'w1',
  service: 'web',
  host: 'w1',
  definition: '0'.repeat(64),
  around,
  needs,
  follows: [],
})

function saw(what: 'running' | 'stopped'): RunEvent {
  return { type: 'observed', service: 'web', host: 'w1', proof: proof(seen(what), 0) }
}

test('a hook before a stop runs only when there is something to stop', () => {
  const plan = planOf([hookOf('before_stop', 1, []), step('stop web@w1', { needs: [0] })])
  const state = begun(plan)
  expect(decide(state, 0)).toMatchObject({ send: [], observe: [1], unneeded: [] })
  expect(decide(take(state, saw('stopped')), 0)).toMatchObject({ unneeded: [0], send: [] })
  expect(decide(take(state, saw('running')), 0)).toMatchObject({ unneeded: [], send: [0] })
})

test('a hook that never began may turn out to have nothing to do', () => {
  const plan = planOf([hookOf('before_stop', 1, []), step('stop web@w1', { needs: [0] })])
  const state = take(begun(plan), saw('running'), sent(0))
  take(state, { type: 'sealed', step: 0, action: actionOf(1), reason: 'busy', retryAtMs: 0 }, saw('stopped'))
  expect(decide(state, 0)).toMatchObject({ unneeded: [0] })
  take(state, { type: 'done', step: 0, outcome: 'unneeded', reason: '' })
  expect(decide(state, 0)).toMatchObject({ send: [1] })
})

test('a hook after a stop runs only when something was stopped', () => {
  const plan = planOf([step('stop web@w1'), hookOf('after_stop', 0, [0])])
  const unchanged = { ...done(0, plan), outcome: 'unchanged' } as RunEvent
  expect(decide(take(begun(plan), sent(0), unchanged), 0)).toMatchObject({ unneeded: [1], send: [] })
  expect(decide(take(begun(plan), sent(0), done(0, plan)), 0)).toMatchObject({ unneeded: [], send: [1] })
})

test('a hook before a stop that may have begun is finished, whatever is seen of its instance', () => {
  const plan = planOf([hookOf('before_stop', 1, []), step('stop web@w1', { needs: [0] })])
  const state = take(begun(plan), saw('running'), sent(0), failed(0), opened(2), claimed('w1'))
  expect(decide(state, 0)).toMatchObject({ send: [0], unneeded: [] })
})

test('before its first session and after its last a run does nothing', () => {
  const nothing = { send: [], observe: [], unneeded: [], end: null }
  expect(decide(fold(chain, []), 0)).toEqual(nothing)
  const state = take(begun(chain), { type: 'session-ended', outcome: 'cancelled' })
  expect(decide(state, 0)).toEqual(nothing)
})

test('a prove step that is unknown is looked at again for as long as there is patience', () => {
  const state = begun(planOf([step('prove app@a1')]))
  take(state, { type: 'unknown', step: 0, reason: 'nobody can say', atMs: 0 })
  expect(decide(state, 59_999)).toMatchObject({ observe: [0], end: null })
  expect(decide(state, 60_000)).toMatchObject({ observe: [], end: 'unresolved' })
})

test('a proof that could not be renewed for too long is not asked for any more, and holds', () => {
  const state = take(begun(chain), sent(0), done(0, chain))
  const hidden = proof(seen('unknown', 'unknown'), 11_000)
  take(state, { type: 'observed', service: 'web', host: 'w1', proof: hidden })
  expect(decide(state, 70_999)).toMatchObject({ send: [], observe: [0], end: null })
  expect(decide(state, 71_000)).toMatchObject({ send: [], observe: [], end: 'unresolved' })
})

test.each<FailurePolicy>(['hold', 'continue'])(
  'a run that was fenced sends nothing anywhere, and waits for nobody (%s)',
  (policy) => {
    const state = take(begun(pair, policy), { type: 'fenced', host: 'a', holder: null })
    expect(decide(state, 0)).toEqual({ send: [], observe: [], unneeded: [], end: 'refused' })
  },
)

test('a host that refuses holds everything, or only what is on it', () => {
  const refused: RunEvent = { type: 'claim-refused', host: 'a', reason: 'held', holder: null }
  expect(decide(take(begun(pair), refused), 0)).toMatchObject({ send: [], end: 'refused' })
  const state = take(begun(pair, 'continue'), refused)
  expect(decide(state, 0)).toMatchObject({ send: [1], end: null })
  expect(decide(take(state, sent(1), done(1, pair)), 0)).toMatchObject({ send: [], end: 'refused' })
})

test('a sealed step is waited for until it may be sent again, and is failed once that was too often', () => {
  const state = begun(planOf([step('stop one@a')]))
  for (let attempt = 1; attempt <= attemptsPerSession; attempt++) {
    expect(decide(state, 1000).send).toEqual([0])
    take(state, sent(0, attempt))
    take(state, { type: 'sealed', step: 0, action: actionOf(attempt), reason: 'busy', retryAtMs: 1000 })
    expect(decide(state, 999).end).toBe(attempt === attemptsPerSession ? 'failed' : null)
  }
})

test('a sealed step is not waited for where its host no longer answers', () => {
  const state = take(begun(pair, 'continue'), sent(0), sent(1), done(1, pair))
  take(state, { type: 'sealed', step: 0, action: actionOf(1), reason: 'busy', retryAtMs: 1000 })
  take(state, opened(2, 'continue'), claimed('b'), {
    type: 'silent',
    host: 'a',
    reason: 'no answer',
    atMs: 0,
  })
  expect(decide(state, 0)).toMatchObject({ send: [], end: null })
  expect(decide(state, 60_000)).toMatchObject({ send: [], end: 'unresolved' })
})

test('several steps that need the same of several are let through by one proof', () => {
  const plan = planOf(
    [
      step('start mta@m1'),
      step('start mta@m2'),
      step('start web@w1', { needs: [4] }),
      step('start api@w1', { needs: [4] }),
    ],
    [{ needs: [0, 1], follows: [], enough: 1 }],
  )
  const state = take(begun(plan), sent(0), sent(1), done(0, plan), done(1, plan))
  expect(decide(state, 1)).toMatchObject({ send: [2, 3], observe: [] })
  expect(decide(state, 20_000)).toMatchObject({ send: [], observe: [0, 1] })
})

test('too few of several proofs is a failure if one was refuted, and else unresolved', () => {
  const proofs = [step('prove mta@m1', {}, 'running'), step('prove mta@m2', {}, 'running')]
  const plan = planOf(
    [...proofs, step('stop mta@m3', { needs: [3] })],
    [{ needs: [0, 1], follows: [], enough: 1 }],
  )
  const hidden = (index: number): RunEvent => ({
    type: 'unknown',
    step: index,
    reason: 'nobody can say',
    atMs: 0,
  })
  expect(outcomeOf(take(begun(plan), hidden(0), hidden(1)))).toBe('unresolved')
  const refuted: RunEvent = { type: 'failed', step: 0, reason: 'it is stopped' }
  expect(outcomeOf(take(begun(plan), refuted, hidden(1)))).toBe('failed')
})

test('an interrupted run sends nothing new, waits for what is in flight, and can be resumed', () => {
  const stopping: RunEvent = { type: 'stopping', why: 'interrupted', operator: 'alice@admin1' }
  const state = take(begun(chain), sent(0), stopping)
  expect(decide(state, 0)).toMatchObject({ send: [], end: null })
  expect(decide(take(state, done(0, chain)), 0)).toMatchObject({ send: [], end: 'cancelled' })
})

test('the outcome is the worst of the steps', () => {
  const waived: RunEvent = { type: 'waived', step: 0, operator: 'alice@admin1', reason: 'I looked' }
  expect(outcomeOf(take(begun(pair), sent(0), done(0, pair), sent(1), done(1, pair)))).toBe('succeeded')
  expect(outcomeOf(take(begun(pair), waived, sent(1), done(1, pair)))).toBe('waived')
  expect(outcomeOf(take(begun(pair), waived, sent(1), unknown(1)))).toBe('unresolved')
  expect(outcomeOf(take(begun(pair), sent(0), unknown(0), sent(1), failed(1)))).toBe('failed')
})

test('of proofs of which one is enough, another may fail', () => {
  const proofs = [step('prove mta@m1', {}, 'running'), step('prove mta@m2', {}, 'running')]
  const plan = planOf(
    [...proofs, step('stop mta@m3', { needs: [3] })],
    [{ needs: [0, 1], follows: [], enough: 1 }],
  )
  const contradicted: RunEvent = { type: 'failed', step: 0, reason: 'it is stopped' }
  const seenUp = proof(seen('running'), 0)
  const proven: RunEvent = { type: 'done', step: 1, outcome: 'observed', reason: '', proof: seenUp }
  expect(decide(take(begun(plan), contradicted, proven), 0)).toMatchObject({ send: [2], end: null })
  expect(outcomeOf(take(begun(plan), contradicted, proven, sent(2), done(2, plan)))).toBe('succeeded')
  const both = take(begun(plan), contradicted, { ...contradicted, step: 1 })
  expect(decide(both, 0)).toMatchObject({ send: [], end: 'failed' })
  const waiver: RunEvent = { type: 'waived', step: 0, operator: 'alice@admin1', reason: 'I looked' }
  expect(outcomeOf(take(both, waiver, sent(2), done(2, plan)))).toBe('waived')
})

test('where one proof has to be asked for again, those that are half gone are asked for with it', () => {
  const plan = planOf([step('stop a@h1'), step('stop b@h2'), step('stop c@h3', { needs: [0, 1] })])
  const state = take(begun(plan), sent(0), sent(1), done(0, plan, 0, 1))
  const later: RunEvent = { type: 'observed', service: 'b', host: 'h2', proof: proof(seen('stopped'), 4000) }
  take(state, done(1, plan, 0, 1), later)
  expect(decide(state, 8000)).toMatchObject({ send: [2], observe: [] })
  expect(decide(state, proofAgeMs + 1).observe).toEqual([0, 1])
})

test.each([
  ['directly', planOf([step('stop a@h1'), step('stop b@h2', { follows: [0] })])],
  [
    'through a join',
    planOf([step('stop a@h1'), step('stop b@h2', { follows: [2] })], [{ needs: [], follows: [0] }]),
  ],
])('what follows a failed step %s goes after it has been tried again, not beside it', (_, plan) => {
  const hosts = ['h1', 'h2'].map(claimed)
  const state = take(begun(plan), sent(0), failed(0), opened(2), ...hosts)
  expect(decide(state, 0).send).toEqual([0])
  take(state, sent(0, 2))
  expect(decide(state, 0).send).toEqual([])
  take(state, done(0, plan, 0, 2))
  expect(decide(state, 0).send).toEqual([1])
})

test('what a step needs stopped is not looked at again once the run itself has started it', () => {
  const plan = planOf([
    step('stop app@a1'),
    step('stop db@d1', { needs: [0] }),
    step('start app@a1', { needs: [0] }),
  ])
  const state = take(begun(plan), sent(0), done(0, plan), sent(2), done(2, plan, 1))
  expect(decide(state, 2)).toMatchObject({ send: [], observe: [], end: 'unresolved' })
})
