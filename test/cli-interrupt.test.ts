import { expect, test } from 'vitest'
import { localFleet, type LocalFleet } from './support/local-fleet.ts'
import { bringUp, newestRun } from './support/run-of.ts'
import { until } from './support/until.ts'

// W5: what Ctrl-C does, and what means the same.

/** A stop of the whole fleet that waits in the script of `mail`. */
async function stopThatWaits(fleet: LocalFleet, ...options: string[]) {
  await bringUp(fleet)
  fleet.services.hold('mail')
  const stop = fleet.start(['stop', '--yes', ...options])
  await fleet.services.untilAsked('mail', 'stop')
  return stop
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s sends nothing new, waits for what is in flight, and says how to resume',
  async (signal) => {
    await using fleet = localFleet()
    await using stop = await stopThatWaits(fleet)
    stop.signal(signal)
    await stop.untilSays(/Nothing new is sent/)
    fleet.services.letGo('mail')
    const { code, stdout } = await stop.ended
    const run = await newestRun(fleet)
    expect(code).toBe(130)
    expect(stdout).toContain('2 of 4 steps done (2 changed), 2 not reached')
    expect(stdout).toContain(`filo resume ${run}`)
    expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])
    expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
    expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
  },
)

test('a second Ctrl-C leaves at once; what was sent goes on, and a resume finds out', async () => {
  await using fleet = localFleet()
  await using stop = await stopThatWaits(fleet)
  stop.signal('SIGINT')
  await stop.untilSays(/Nothing new is sent/)
  stop.signal('SIGINT')
  const run = await newestRun(fleet)
  const { code, stderr } = await stop.ended
  expect(code).toBe(130)
  expect(stderr).toContain(`filo resume ${run}`)
  fleet.services.letGo('mail')
  await until('mail to go down', () => fleet.services.effects().includes('mail down'))
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('Ctrl-C that comes too late to keep anything from being done has interrupted nothing', async () => {
  await using fleet = localFleet()
  await bringUp(fleet)
  fleet.services.hold('web')
  await using stop = fleet.start(['stop', 'web', '--yes'])
  await fleet.services.untilAsked('web', 'stop')
  stop.signal('SIGINT')
  await stop.untilSays(/Nothing new is sent/)
  fleet.services.letGo('web')
  expect(await stop.ended).toMatchObject({ code: 0 })
})

test('a reader of its output that goes away does not end a run', async () => {
  await using fleet = localFleet()
  await using stop = await stopThatWaits(fleet, '--jsonl')
  stop.closeOutput()
  fleet.services.letGo('mail')
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})
