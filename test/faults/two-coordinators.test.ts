import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { fourInARow } from '../support/fleet-file.ts'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startBroker } from '../support/broker.ts'
import { newestRun } from '../support/run-of.ts'
import { until } from '../support/until.ts'

// R8 with two coordinators: one is frozen in the midst of its run, the other takes over, and the first is thawed.

let fleet: Fleet
openForFile(startBroker, fourInARow, (opened) => ({ fleet } = opened))
beforeEach(() => fleet.recover())

const alice = { env: { SUDO_USER: 'alice' } }
const bob = { env: { SUDO_USER: 'bob' } }

/** A stop of the whole fleet by alice, frozen while mail's script has been asked to stop and does not. */
async function frozenInMidst() {
  fleet.services.hold('mail')
  const stop = fleet.start(['stop', '--yes'], alice)
  await fleet.services.untilAsked('mail', 'stop')
  stop.signal('SIGSTOP')
  return { stop, run: await newestRun(fleet) }
}

test('a run is refused to a second process by name, time and way out, and taken from the first in the open', async () => {
  const { stop, run } = await frozenInMidst()
  await using first = stop
  const refused = await fleet.filo('resume', run, '--yes')
  expect(refused.code).toBe(75)
  expect(refused.stderr).toMatch(
    new RegExp(
      `^filo: ${run} is being carried out by alice@\\S+ since \\d\\d:\\d\\d:\\d\\d \\(process ${first.pid}\\)`,
    ),
  )
  expect(refused.stderr).toContain(`filo resume ${run} --take-over`)

  await using second = fleet.start(['resume', run, '--take-over', '--yes'], bob)
  await second.untilSays(/mail@mail-host/)
  // Whoever comes now is told of bob, not of alice.
  const third = await fleet.filo('resume', run, '--yes')
  expect(third).toMatchObject({ code: 75, stderr: expect.stringContaining('by bob@') as string })
  fleet.services.letGo('mail')
  expect(await second.ended).toMatchObject({ code: 0 })
  const before = (await fleet.filo('show', run, '--json')).stdout

  first.signal('SIGCONT')
  const fenced = await first.ended
  expect(fenced.code).toBe(75)
  expect(fenced.stderr).toMatch(new RegExp(`${run} has been taken over by bob@\\S+ since`))
  expect((await fleet.filo('show', run, '--json')).stdout).toBe(before)
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'app down', 'db down'])
})

test('a process that is thawed while the other still carries the run out leaves it alone', async () => {
  const { stop, run } = await frozenInMidst()
  await using first = stop
  await using second = fleet.start(['resume', run, '--take-over', '--yes'], bob)
  await second.untilSays(/mail@mail-host/)
  first.signal('SIGCONT')
  expect(await first.ended).toMatchObject({ code: 75 })
  fleet.services.letGo('mail')
  expect(await second.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
})

test("another coordinator's run takes hosts over with a higher grant, and the first says by whom it is fenced", async () => {
  const { stop } = await frozenInMidst()
  await using first = stop
  // Another machine: a state directory of its own, with a key that the agents trust.
  const other = join(fleet.path, 'other')
  mkdirSync(join(other, 'test'), { recursive: true })
  cpSync(join(fleet.path, '.state', 'test', 'keys'), join(other, 'test', 'keys'), { recursive: true })
  const there = async (...args: string[]) => {
    await using running = fleet.start([...args, '--state', other], bob)
    return await running.ended
  }
  const refused = await there('start', 'mail', '--yes', '--patience', '3s')
  expect(refused.code).toBe(75)
  expect(refused.stdout).toMatch(/\S+-host refused the run: held by r\S+ of alice@\S+ since/)
  const theirs = /filo resume (r\S+) --take-over/.exec(refused.stdout)![1]!

  await using taking = fleet.start(['resume', theirs, '--take-over', '--yes', '--state', other], bob)
  await until('bob to hold the host', async () =>
    /mail-host +r\S+ +bob@/.test((await fleet.filo('locks')).stdout),
  )
  first.signal('SIGCONT')
  await first.untilSays(new RegExp(`mail-host +taken over by ${theirs} of bob@`))
  fleet.services.letGo('mail')
  const fenced = await first.ended
  expect(fenced.code).toBe(75)
  expect(fenced.stdout).toContain(`mail-host was taken over: ${theirs} of bob@`)
  expect(fleet.services.requests()).not.toContain('app stop')
  if ((await taking.ended).code !== 0)
    expect(await there('resume', theirs, '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(['web down', 'mail down', 'mail up'])
})
