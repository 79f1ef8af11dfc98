import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFleet } from './support/fleet.ts'
import { startRabbitmq, type Rabbitmq } from './support/rabbitmq.ts'
import { mountSmallDisk } from './support/small-disk.ts'
import { until } from './support/until.ts'

// Disks that are full and directories that are gone. What cannot be recorded is not done.

let broker: Rabbitmq
beforeAll(async () => {
  broker = await startRabbitmq()
})
afterAll(() => broker[Symbol.asyncDispose]())

const downInOrder = ['web down', 'mail down', 'app down', 'db down']

test('a coordinator whose disk is full in mid-run sends nothing more, says so, and carries on once there is room', async () => {
  await using fleet = await openFleet(broker.url)
  const { services } = fleet
  using disk = mountSmallDisk(join(fleet.path, '.state', 'test'))
  expect(await fleet.filo('keys')).toMatchObject({ code: 0 })
  for (const agent of fleet.agents.values()) {
    await fleet.configure(agent.host)
    await agent.restart()
  }
  await fleet.bringUp()
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  disk.fill()
  services.letGo('mail')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 1 })
  expect(ended.stderr).toContain('disk is full')
  expect(ended.stderr).toMatch(/filo resume r\d+/)
  expect(services.requests()).toEqual(['web stop', 'mail stop'])
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 1 })

  disk.empty()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)
  expect(services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
})

test('an agent whose disk is full refuses to act and says why; once there is room a resume carries on', async () => {
  await using fleet = await openFleet(broker.url)
  const { services } = fleet
  const agent = fleet.agentOf('app')
  await agent.stop()
  using disk = mountSmallDisk(agent.stateDir)
  await agent.start()
  await fleet.bringUp()
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes', '--patience', '3s'])
  await services.untilAsked('mail', 'stop')
  disk.fill()
  services.letGo('mail')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toMatch(/stop app@app-host is unknown: .*disk is full/)
  expect(services.requests()).toEqual(['web stop', 'mail stop'])

  const again = await fleet.filo('resume', '--yes', '--patience', '3s')
  expect(again).toMatchObject({ code: 3 })
  expect(again.stdout).toMatch(/app-host refused the run: .*disk is full/)
  expect(services.requests()).toEqual(['web stop', 'mail stop'])

  disk.empty()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)
})

test('an agent whose disk fills up in mid-action says how it ended once there is room, and acts once', async () => {
  await using fleet = await openFleet(broker.url)
  const { services } = fleet
  const agent = fleet.agentOf('mail')
  await agent.stop()
  using disk = mountSmallDisk(agent.stateDir)
  await agent.start()
  await fleet.bringUp()
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  disk.fill()
  services.letGo('mail')
  await until('the agent to have tried', () => agent.log.includes('cannot be stored'), { timeoutMs: 30_000 })
  disk.empty()
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)
})

test('a run whose state directory was deleted is unknown afterwards, and a new stop finds what is left to do', async () => {
  await using fleet = await openFleet(broker.url)
  const { services } = fleet
  await fleet.bringUp()
  services.hold('mail')
  await using stop = fleet.start(['stop', '--yes'])
  await services.untilAsked('mail', 'stop')
  stop.signal('SIGKILL')
  await stop.ended
  for (const name of ['journal.db', 'journal.db-wal', 'journal.db-shm', 'locks']) {
    rmSync(join(fleet.path, '.state', 'test', name), { recursive: true, force: true })
  }
  services.letGo('mail')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 4 })

  const refused = await fleet.filo('stop', '--yes', '--patience', '1s')
  expect(refused).toMatchObject({ code: 75 })
  expect(refused.stdout).toContain('--take-over')
  expect(await fleet.filo('resume', '--take-over', '--yes')).toMatchObject({ code: 0 })
  expect(services.effects()).toEqual(downInOrder)
})
