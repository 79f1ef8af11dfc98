import type { Clock } from '@filo/protocol'
import { expect, test } from 'vitest'
import { Beacons } from './beacon.ts'

/** A clock that a test sets, and sleeps that end when it says so. */
function makeClock() {
  let nowMs = 1000
  const sleeping: (() => void)[] = []
  const clock: Clock = {
    now: () => nowMs,
    sinceBoot: () => nowMs,
    wall: () => new Date(nowMs),
    sleep: () => new Promise((resolve) => sleeping.push(resolve)),
  }
  return {
    clock,
    sleepers: () => sleeping.length,
    pass: (ms: number) => (nowMs += ms),
    wake: async () => {
      for (const resolve of sleeping.splice(0)) resolve()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

const never = new AbortController().signal

test('a beacon is good for thirty seconds, for its own process, and whoever changes it has none', async () => {
  const { clock, pass, wake } = makeClock()
  const beacons = new Beacons(clock, never)
  const beacon = beacons.issue(0)
  expect(beacons.objection(beacon)).toBeUndefined()
  expect(new Beacons(clock, never).objection(beacon)).toContain('not issued by this agent process')
  expect(beacons.objection(beacon.replace('1000.0', '1001.0'))).toContain('not issued')
  expect(beacons.objection('')).toContain('not issued')
  for (let count = 0; count < 15; count += 1) {
    pass(2000)
    await wake()
  }
  expect(beacons.objection(beacon)).toBeUndefined()
  pass(1)
  expect(beacons.objection(beacon)).toContain('30 s old')
})

test('a beacon of an earlier turn is good for an action, and for no claim', () => {
  const beacons = new Beacons(makeClock().clock, never)
  const beacon = beacons.issue(3)
  expect(beacons.objection(beacon)).toBeUndefined()
  expect(beacons.objection(beacon, 3)).toBeUndefined()
  expect(beacons.objection(beacon, 4)).toContain('given')
})

test('a process that stood still for more than five seconds trusts no beacon from before, whoever asks first', async () => {
  const { clock, pass, wake } = makeClock()
  const beacons = new Beacons(clock, never)
  const beacon = beacons.issue(0)
  for (const _ of [1, 2, 3, 4]) {
    pass(2000)
    await wake()
  }
  expect(beacons.objection(beacon)).toBeUndefined()
  pass(6000)
  expect(beacons.objection(beacon)).toContain('stood still')
  await wake()
  expect(beacons.objection(beacon)).toContain('stood still')
  const next = beacons.issue(0)
  expect(beacons.objection(next)).toBeUndefined()
})

test('a process is looked after from its first beacon on, whether or not anybody has claimed its host', () => {
  const { clock, pass } = makeClock()
  const beacons = new Beacons(clock, never)
  const beacon = beacons.issue(0)
  pass(6000)
  expect(beacons.objection(beacon)).toContain('stood still')
})

test('once no beacon can be quoted any more nothing is noted, and a long silence is no standstill', async () => {
  const { clock, pass, wake, sleepers } = makeClock()
  const beacons = new Beacons(clock, never)
  beacons.issue(0)
  for (let count = 0; count < 16; count += 1) {
    expect(sleepers()).toBe(1)
    pass(2000)
    await wake()
  }
  expect(sleepers()).toBe(0)
  pass(20_000)
  const late = beacons.issue(0)
  expect(beacons.objection(late)).toBeUndefined()
  expect(sleepers()).toBe(1)
})
