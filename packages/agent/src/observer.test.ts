import type { Clock, ServiceDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import type { Sighting } from './managers/manager.ts'
import { Observer, type Managers } from './observer.ts'

const definition = {
  service: 'mail',
  manager: { kind: 'lsb', name: 'mail', dir: '/etc/init.d' },
  settleMs: 2000,
  startTimeoutMs: 1000,
  stopTimeoutMs: 1000,
} as ServiceDefinition

const running: Sighting = { state: 'running', live: 'yes', detail: 'exit status 0' }
const fallen: Sighting = { state: 'failed', live: 'no', detail: 'exit status 1' }

/** An observer of a service that is what `now` says, on a clock that moves while somebody sleeps. */
function watch(now: () => Sighting, onSleep: () => void = () => {}) {
  let nowMs = 1000
  const clock: Clock = {
    now: () => nowMs,
    sinceBoot: () => nowMs,
    wall: () => new Date(nowMs),
    sleep: async (ms, signal) => {
      // The deadline of a look: it is not reached here.
      if (signal !== undefined) return new Promise(() => {})
      nowMs += ms / 2
      onSleep()
      await Promise.resolve()
      nowMs += ms / 2
    },
  }
  const lsb = { kind: 'lsb', observe: async () => [now()] }
  const managers = { lsb } as unknown as Managers
  return new Observer(managers, async () => ({ ready: true, detail: '' }), clock)
}

test('what is seen twice the same has held between', async () => {
  const observer = watch(() => running)
  const [looked] = await observer.lookSettled([definition])
  expect(looked!.observation.heldMs).toBeGreaterThanOrEqual(2000)
})

test('what somebody else has seen otherwise between two looks has not held', async () => {
  let seen = running
  const others: Promise<unknown>[] = []
  const observer = watch(
    () => seen,
    () => {
      seen = fallen
      others.push(observer.look([definition]))
      seen = running
    },
  )
  const [looked] = await observer.lookSettled([definition])
  await Promise.all(others)
  expect(looked!.observation.state).toBe('running')
  expect(looked!.observation.heldMs).toBe(0)
})
