import type { Ending } from '@filo/protocol'
import { expect, test } from 'vitest'
import { decide } from './decide.ts'
import {
  goneAfterMs,
  interpretReturn,
  interpretSilence,
  interpretStayed,
  isAwaitedAway,
} from './host-step.ts'
import { interpretEnding, interpretObservation } from './interpret.ts'
import { fold, type RunState } from './run.ts'
import type { RunEvent } from './run-event.ts'
import {
  actionOf,
  begun,
  boot,
  claimed,
  done,
  ledger,
  opened,
  planOf,
  proof,
  rebootTimeoutMs,
  seen,
  sent,
  step,
  take,
} from './scene.ts'

const nextBoot = '99999999-9999-4999-8999-999999999999'
const since = '2026-01-01T00:00:00.000Z'
const answered = { incarnation: actionOf(9), answer: 1, isFromMemory: false }
const booted: Ending = { outcome: 'changed', reason: 'the host has booted since', durationMs: 0 }

/** The database under the application; the application's host is rebooted or halted. */
function planFor(kind: 'reboot' | 'halt') {
  return planOf([
    step('stop app@app1'),
    step(`${kind} app1`, { needs: [0] }),
    ...(kind === 'reboot' ? [step('start app@app1', { needs: [1] })] : []),
    step('prove db@db1', {}, 'running'),
  ])
}

const going = { boot, since }
const toldToGo = (atMs = 0): RunEvent => ({ ...sent(1, 1, atMs), going }) as RunEvent
const onItsWay = (hasLeft: boolean): RunEvent => ({
  type: 'going-down',
  step: 1,
  action: actionOf(101),
  hasLeft,
  atMs: 0,
})
const silent = (host: string, atMs: number): RunEvent => ({ type: 'silent', host, reason: 'no agent', atMs })
const upAgain = (host: string, inBoot = nextBoot): RunEvent =>
  ({ ...claimed(host), boot: inBoot, incarnation: actionOf(9) }) as RunEvent

/** All on the host is stopped, and its agent has said that it goes down. */
function goingDown(kind: 'reboot' | 'halt', hasLeft = true): RunState {
  const plan = planFor(kind)
  return take(begun(plan), sent(0), done(0, plan), toldToGo(), onItsWay(hasLeft))
}

test('a host goes down only once what runs on it is proven to be stopped, in the last 10 s', () => {
  const plan = planFor('reboot')
  const state = take(begun(plan), sent(0))
  expect(decide(state, 0).send).toEqual([])
  take(state, done(0, plan))
  expect(decide(state, 5000).send).toEqual([1])
  expect(decide(state, 11_000)).toMatchObject({ send: [], observe: expect.arrayContaining([0]) as number[] })
})

test('the silence of a host that goes down keeps nobody else waiting, and makes nothing unknown before its time', () => {
  const state = take(goingDown('reboot'), silent('app1', 1000))
  expect(decide(state, 2000)).toMatchObject({ observe: [2 + 1], end: null })
  expect(isAwaitedAway(state, 1, rebootTimeoutMs - 1)).toBe(true)
  expect(isAwaitedAway(state, 1, rebootTimeoutMs)).toBe(false)
})

test('a host that has not said that it goes down is not expected to be silent', () => {
  const plan = planFor('reboot')
  const state = take(begun(plan), sent(0), done(0, plan), toldToGo())
  expect(isAwaitedAway(state, 1, 1)).toBe(false)
})

test('a reboot is done when its agent says so from another boot, and not from the same', () => {
  const state = goingDown('reboot')
  const from = (inBoot: string) =>
    interpretEnding(state, 1, actionOf(101), booted, { ...answered, boot: inBoot }, 30_000)
  expect(from(nextBoot)).toMatchObject([{ type: 'done', outcome: 'changed', durationMs: 30_000 }])
  expect(from(boot)).toMatchObject([
    { type: 'failed', reason: expect.stringContaining('that was to end') as string },
  ])
})

test('a reboot whose command failed has failed, and a halt that its agent reports from another boot as well', () => {
  const from = { ...answered, boot: nextBoot }
  const failing: Ending = { outcome: 'failed', reason: 'exit status 1', durationMs: 5 }
  const unchanged: Ending = { ...booted, outcome: 'unchanged' }
  expect(interpretEnding(goingDown('reboot'), 1, actionOf(101), failing, from, 0)).toMatchObject([
    { type: 'failed', reason: 'exit status 1' },
  ])
  expect(interpretEnding(goingDown('reboot'), 1, actionOf(101), unchanged, from, 0)).toMatchObject([
    { type: 'done', outcome: 'changed' },
  ])
  expect(interpretEnding(goingDown('halt'), 1, actionOf(101), booted, from, 0)).toMatchObject([
    { type: 'failed', reason: expect.stringContaining('it is up again') as string },
  ])
})

test('a reboot that is heard of in a later session does not say how long it took', () => {
  const state = take(goingDown('reboot'), opened(2))
  const [event] = interpretEnding(state, 1, actionOf(101), booted, { ...answered, boot: nextBoot }, 30_000)
  expect(event).not.toHaveProperty('durationMs')
})

test('an answer from another boot proves the reboot, whatever its ledger remembers', () => {
  expect(interpretReturn(goingDown('reboot'), 1, nextBoot)).toMatchObject([
    { type: 'done', outcome: 'observed' },
  ])
  expect(interpretReturn(goingDown('reboot'), 1, boot)).toEqual([])
})

test('after a reboot what is started there waits until the host is ours again, in its new boot', () => {
  const [end] = interpretReturn(goingDown('reboot'), 1, nextBoot)
  const state = take(goingDown('reboot'), end!)
  expect(state.hosts.get('app1')).toEqual({ kind: 'unclaimed' })
  expect(decide(state, 40_000).send).toEqual([])
  take(state, upAgain('app1'))
  expect(decide(state, 40_000).send).toEqual([2])
})

test('a service that came up with the boot is no drift, neither before nor after the reboot is known to be done', () => {
  const state = goingDown('reboot')
  const up = () => ({ ...proof(seen('running'), 20_000), boot: nextBoot })
  expect(interpretObservation(state, 'app', 'app1', up())).toMatchObject([{ type: 'observed' }])
  take(state, interpretReturn(state, 1, nextBoot)[0]!, upAgain('app1'))
  expect(interpretObservation(state, 'app', 'app1', up())).toMatchObject([{ type: 'observed' }])
})

test('what is up although its host did not go down is drift again', () => {
  const failed: RunEvent = { type: 'failed', step: 1, action: actionOf(101), reason: 'still up' }
  const state = take(goingDown('reboot', false), failed)
  const events = interpretObservation(state, 'app', 'app1', proof(seen('running'), 20_000))
  expect(events).toMatchObject([{ type: 'observed' }, { type: 'drifted', step: 0 }])
})

test('an after_start hook is due for what came up with the boot', () => {
  const state = take(
    goingDown('reboot'),
    interpretReturn(goingDown('reboot'), 1, nextBoot)[0]!,
    upAgain('app1'),
  )
  const unchanged = { ...done(2, state.plan), outcome: 'unchanged' } as RunEvent
  take(state, { ...sent(2), ledger } as RunEvent, unchanged)
  expect(state.steps[2]!.mayHaveActed).toBe(true)
})

test('a halt is done when the agent has taken leave and is silent for a while, and by silence alone never', () => {
  const at = (state: RunState, nowMs: number) => interpretSilence(state, 'app1', nowMs)
  const left = take(goingDown('halt'), silent('app1', 1000))
  expect(at(left, 1000 + goneAfterMs - 1)).toEqual([])
  expect(at(left, 1000 + goneAfterMs)).toMatchObject([{ type: 'done', step: 1, outcome: 'changed' }])
  const torn = take(goingDown('halt', false), silent('app1', 1000))
  expect(at(torn, 10_000_000)).toEqual([])
  const rebooting = take(goingDown('reboot'), silent('app1', 1000))
  expect(at(rebooting, 10_000_000)).toEqual([])
})

test('silence from before an agent took leave does not prove that its host is gone', () => {
  const state = take(goingDown('halt', false), silent('app1', 1000), {
    ...onItsWay(true),
    atMs: 6000,
  } as RunEvent)
  expect(interpretSilence(state, 'app1', 6000 + goneAfterMs - 1)).toEqual([])
  expect(interpretSilence(state, 'app1', 6000 + goneAfterMs)).toMatchObject([{ type: 'done', step: 1 }])
  take(state, opened(2, 'hold', 50_000), silent('app1', 50_000))
  expect(interpretSilence(state, 'app1', 50_000 + goneAfterMs - 1)).toEqual([])
  expect(interpretSilence(state, 'app1', 50_000 + goneAfterMs)).toMatchObject([{ type: 'done', step: 1 }])
})

test('a halt that is unknown is done by the same leave and silence, and a host without one by nothing', () => {
  const state = take(goingDown('halt'), opened(2), silent('app1', 1000), silent('db1', 1000))
  expect(interpretSilence(state, 'app1', 7000)).toMatchObject([{ type: 'done', step: 1 }])
  expect(interpretSilence(state, 'db1', 7000)).toEqual([])
  expect(interpretSilence(take(state, claimed('app1')), 'app1', 7000)).toEqual([])
})

test('what was stopped on a host that is gone stays so: nobody is asked', () => {
  const plan = planOf([
    step('stop app@app1'),
    step('halt app1', { needs: [0] }),
    step('stop db@db1', { needs: [0], follows: [1] }),
  ])
  const state = take(begun(plan), sent(0), done(0, plan), toldToGo(), onItsWay(true), silent('app1', 1000))
  take(state, ...interpretSilence(state, 'app1', 60_000))
  expect(decide(state, 60_000)).toMatchObject({ send: [2], observe: [] })
})

test('a host that an operator has waived to be down is gone, and one that answers otherwise is asked anew', () => {
  const waived: RunEvent = { type: 'waived', step: 1, operator: 'alice@admin1', reason: 'I pulled the plug' }
  const unknown: RunEvent = { type: 'unknown', step: 1, action: actionOf(101), reason: 'lost', atMs: 0 }
  const halted = take(goingDown('halt'), unknown, waived)
  expect([...halted.gone]).toEqual(['app1'])
  expect(halted.hosts.get('app1')).toEqual({ kind: 'unclaimed' })
  const rebooted = take(goingDown('reboot'), unknown, upAgain('app1'), waived)
  expect(rebooted.hosts.get('app1')).toMatchObject({ kind: 'claimed', boot: nextBoot })
})

test('an agent that takes leave and comes back in the same boot has not gone down', () => {
  const state = take(goingDown('halt'), silent('app1', 1000), upAgain('app1', boot), silent('app1', 60_000))
  expect(interpretSilence(state, 'app1', 120_000)).toEqual([])
})

test('a host that was halted is asked for nothing more, and the run ends well without it', () => {
  const state = take(goingDown('halt'), silent('app1', 1000))
  take(state, interpretSilence(state, 'app1', 7000)[0]!)
  take(state, {
    type: 'done',
    step: 2,
    outcome: 'observed',
    reason: '',
    proof: proof(seen('running'), 7000),
  })
  expect(decide(state, 8000).end).toBe('succeeded')
})

test('a halt that is waived before its turn leaves what is to be done on the host before', () => {
  const early: RunEvent = { type: 'waived', step: 1, operator: 'alice@admin1', reason: 'not tonight' }
  const state = take(begun(planFor('halt')), early)
  expect(decide(state, 1000)).toMatchObject({ send: [0] })
})

test('what was stopped on a host whose reboot was waived before its turn drifts until that turn comes', () => {
  const plan = planOf([
    step('stop app@app1'),
    step('stop web@web1'),
    step('reboot app1', { needs: [0, 1] }),
    step('start app@app1', { needs: [2] }),
  ])
  const early: RunEvent = { type: 'waived', step: 2, operator: 'alice@admin1', reason: 'not tonight' }
  const state = take(begun(plan), early, sent(0), done(0, plan))
  const running = proof(seen('running'), 2000)
  expect(interpretObservation(state, 'app', 'app1', running)).toMatchObject([
    { type: 'observed' },
    { type: 'drifted', step: 0 },
  ])
  take(state, sent(1), done(1, plan))
  expect(interpretObservation(state, 'app', 'app1', running)).toMatchObject([{ type: 'observed' }])
})

test('a host that is up again after a halt fails it', () => {
  expect(interpretReturn(goingDown('halt'), 1, nextBoot)).toMatchObject([
    { type: 'failed', reason: 'app1 went down, but it is up again: it answers from another boot' },
  ])
})

test('a coordinator that is killed while a host reboots waits for it as long as the reboot may take', () => {
  const state = take(goingDown('reboot'), opened(2, 'hold', 100), silent('app1', 200), claimed('db1'))
  expect(state.steps[1]!.phase).toBe('unknown')
  expect(decide(state, 100 + rebootTimeoutMs - 1).end).toBe(null)
  expect(decide(state, 100 + rebootTimeoutMs + 60_000).end).toBe('unresolved')
  take(state, upAgain('app1'), ...interpretReturn(state, 1, nextBoot))
  expect(state.steps[1]!.phase).toBe('done')
})

test('a host of whose reboot nobody remembers anything has failed to reboot when its time is over', () => {
  const unknown: RunEvent = { type: 'unknown', step: 1, reason: 'no memory', atMs: 0 }
  const state = take(goingDown('reboot'), unknown)
  expect(interpretStayed(state, 1, rebootTimeoutMs - 1)).toEqual([])
  expect(interpretStayed(state, 1, rebootTimeoutMs)).toMatchObject([{ type: 'failed' }])
})

const twoHosts = planOf([step('stop app@app1'), step('stop db@db1', { needs: [0] })])
const rebooted = (host: string): RunEvent => ({ type: 'rebooted', host, boot: nextBoot, seenAt: since })

test('what was proven before somebody rebooted its host is seen again before the run ends', () => {
  const state = take(begun(twoHosts), sent(0), done(0, twoHosts), sent(1), done(1, twoHosts))
  expect(decide(state, 1000).end).toBe('succeeded')
  take(state, rebooted('app1'), upAgain('app1'))
  expect(decide(state, 1000)).toMatchObject({ observe: [0], end: null })
  const still = { ...proof(seen('stopped'), 1000), boot: nextBoot, incarnation: actionOf(9) }
  take(state, { type: 'observed', service: 'app', host: 'app1', proof: still })
  expect(decide(state, 2000).end).toBe('succeeded')
})

test('of a host that somebody rebooted nothing is seen again but what was proven there and still has to hold', () => {
  const plan = planOf(
    [
      step('stop app@app1'),
      step('reboot app1', { needs: [0] }),
      step('start app@app1', { needs: [1] }),
      step('prove mta@mail1', {}, 'running'),
      step('prove mta@mail2', {}, 'running'),
      step('stop web@mail1'),
      step('stop mta@mail3', { needs: [7] }),
    ],
    [{ needs: [3, 4], follows: [], enough: 1 }],
  )
  const look = (service: string, host: string): RunEvent => ({
    type: 'observed',
    service,
    host,
    proof: proof(seen('running'), 0),
  })
  const state = take(begun(plan), sent(0), done(0, plan), { ...sent(1), going } as RunEvent, sent(5))
  take(state, { type: 'done', step: 3, outcome: 'observed', reason: '', proof: proof(seen('running'), 0) })
  take(state, look('mta', 'mail2'))
  // Past: app was stopped for the reboot. Spare: another mta is enough. In flight: web. Never current: the other mta.
  take(state, rebooted('app1'), rebooted('mail1'), rebooted('mail2'))
  expect([...state.reviews]).toEqual([])
})

test('nothing new is begun before it is seen what a reboot by somebody else has made of what was proven', () => {
  const plan = planOf([
    step('stop web@web1'),
    step('stop app@app1', { needs: [0] }),
    step('stop db@db1', { needs: [1] }),
  ])
  const state = take(begun(plan), sent(0), done(0, plan), sent(1), done(1, plan))
  expect(decide(state, 1000).send).toEqual([2])
  take(state, rebooted('web1'), upAgain('web1'))
  expect(decide(state, 1000)).toMatchObject({ send: [], observe: [0] })
})

test('where its stop had left a service that has been started again since is not seen again', () => {
  const plan = planOf([step('stop app@app1'), step('start app@app1', { needs: [0] })])
  const state = take(begun(plan, 'continue'), sent(0), done(0, plan), rebooted('app1'), upAgain('app1'))
  take(state, sent(1), done(1, plan))
  expect(decide(state, 1000)).toMatchObject({ observe: [], end: 'succeeded' })
})

test('what came up by itself when somebody rebooted its host is drift, and the run says that it has rebooted', () => {
  const state = take(begun(twoHosts), sent(0), done(0, twoHosts), rebooted('app1'), upAgain('app1'))
  const up = { ...proof(seen('running'), 1000), boot: nextBoot, incarnation: actionOf(9) }
  const events = interpretObservation(state, 'app', 'app1', up)
  expect(events[1]).toMatchObject({
    type: 'drifted',
    reason: `stop app@app1 was proven, but app@app1 is seen running: running; app1 has rebooted since (seen at ${since})`,
  })
  take(state, ...events)
  expect(decide(state, 2000)).toMatchObject({ send: [], end: 'failed' })
})

test('drift that is seen before the reboot itself is noted says that its host has rebooted, not when', () => {
  const state = take(begun(twoHosts), sent(0), done(0, twoHosts))
  const up = { ...proof(seen('running'), 1000), boot: nextBoot, incarnation: actionOf(9) }
  expect(interpretObservation(state, 'app', 'app1', up)[1]).toMatchObject({
    reason: 'stop app@app1 was proven, but app@app1 is seen running: running; app1 has rebooted since',
  })
})

test('a run whose rebooted host cannot be seen again does not succeed', () => {
  const plan = planOf([step('stop app@app1')])
  const state = take(begun(plan), sent(0), done(0, plan), rebooted('app1'), upAgain('app1'))
  const blind = { ...proof(seen('unknown', 'unknown'), 1000), boot: nextBoot, incarnation: actionOf(9) }
  take(state, { type: 'observed', service: 'app', host: 'app1', proof: blind })
  expect(decide(state, 2000).observe).toEqual([0])
  expect(decide(state, 70_000).end).toBe('unresolved')
})

test('of a host that is halted nothing has to be seen again, though somebody had rebooted it before', () => {
  const plan = planOf([step('stop app@app1'), step('stop db@db1'), step('halt app1', { needs: [0, 1] })])
  const state = take(begun(plan, 'continue'), sent(0), done(0, plan), sent(1), done(1, plan))
  take(state, rebooted('app1'), upAgain('app1'), rebooted('db1'))
  expect([...state.reviews]).toEqual([0, 1])
  const halt = { step: 2, action: actionOf(201) }
  take(state, { ...sent(2), going } as RunEvent)
  take(state, { type: 'done', ...halt, outcome: 'changed', reason: '' })
  expect([...state.reviews]).toEqual([1])
})

test('the fold knows across sessions which boot a host was in', () => {
  const state = fold(twoHosts, [opened(), claimed('app1'), claimed('db1'), opened(2)])
  expect(state.boots.get('app1')).toBe(boot)
})
