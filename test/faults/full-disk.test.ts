import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { fourInARow } from '../support/fleet-file.ts'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startBroker } from '../support/broker.ts'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

// Disks that are full, at each phase of a run, and directories that are gone. What cannot be recorded is not begun;
// what has begun is recorded all the same; and once there is room, everything goes on by itself.

let fleet: Fleet
/** The disk of the agent of app, and that of the coordinator. */
let agentDisk: SmallDisk
let coordinatorDisk: SmallDisk
openForFile(startBroker, fourInARow, (opened) => ({ fleet } = opened))
beforeAll(async () => {
  const agent = fleet.agentOf('app')
  await agent.stop()
  agentDisk = mountSmallDisk(agent.stateDir)
  await agent.start()
  const state = join(fleet.path, '.state', 'test')
  const copy = join(fleet.path, 'state-copy')
  cpSync(state, copy, { recursive: true })
  coordinatorDisk = mountSmallDisk(state)
  cpSync(copy, state, { recursive: true })
})
afterAll(() => {
  agentDisk?.[Symbol.dispose]()
  coordinatorDisk?.[Symbol.dispose]()
})
beforeEach(async () => {
  agentDisk.empty()
  coordinatorDisk.empty()
  await fleet.recover()
})

const downInOrder = ['web down', 'mail down', 'app down', 'db down']
const briefly = ['--patience', '3s']

/** Begins to stop the fleet; resolves when the script of `name` has been asked to, and is held there. */
async function stopUntilAsked(name: string, ...options: string[]) {
  fleet.services.hold(name)
  const stop = fleet.start(['stop', '--yes', ...options])
  onTestFinished(() => stop[Symbol.asyncDispose]())
  await fleet.services.untilAsked(name, 'stop')
  return stop
}

test('an agent whose disk is full when a run begins refuses it and says why; nothing is touched', async () => {
  agentDisk.fill()
  const refused = await fleet.filo('stop', '--yes', ...briefly)
  expect(refused).toMatchObject({ code: 78 })
  expect(refused.stdout).toMatch(/app-host refused the run: .*disk is full/)
  expect(fleet.services.requests()).toEqual([])

  agentDisk.empty()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('an agent whose disk fills up before its turn refuses to act; once there is room a resume carries on', async () => {
  const stop = await stopUntilAsked('mail', ...briefly)
  agentDisk.fill()
  fleet.services.letGo('mail')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toMatch(/stop app@app-host is unknown: .*disk is full/)
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])

  agentDisk.empty()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('an agent whose disk fills up in mid-action records how it ended on the full disk, and the run ends', async () => {
  const stop = await stopUntilAsked('app')
  agentDisk.fill()
  fleet.services.letGo('app')
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
  expect(reserveOf('app')).toBe(false)

  // What it recorded outlives it, and the room it took for that is kept again by itself.
  await fleet.agentOf('app').kill()
  agentDisk.empty()
  await fleet.agentOf('app').start()
  await fleet.bringUp()
  expect(reserveOf('app')).toBe(true)
})

test('an agent whose room was taken by others too says how its action ended once there is some, and acts once', async () => {
  const agent = fleet.agentOf('app')
  const stop = await stopUntilAsked('app')
  rmSync(join(agent.stateDir, 'ledger.db-reserve'))
  agentDisk.fill()
  const before = agent.log.length
  fleet.services.letGo('app')
  const hasTried = () => agent.log.slice(before).includes('cannot be stored')
  await until('the agent to have tried', hasTried, { timeoutMs: 30_000 })
  agentDisk.empty()
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('an agent that is restarted on a full disk tells what its action came to, and what it sees', async () => {
  const stop = await stopUntilAsked('app', ...briefly)
  agentDisk.fill()
  await fleet.agentOf('app').kill()
  fleet.services.letGo('app')
  await until('app to be down', () => !fleet.services.isUp('app'))
  await fleet.agentOf('app').start()
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a coordinator whose disk is full in mid-run sends nothing more, says so, and carries on once there is room', async () => {
  const stop = await stopUntilAsked('mail')
  coordinatorDisk.fill()
  fleet.services.letGo('mail')
  const ended = await stop.ended
  expect(ended).toMatchObject({ code: 1 })
  expect(ended.stderr).toContain('disk is full')
  expect(ended.stderr).toMatch(/filo resume r\d+/)
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 1 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])

  coordinatorDisk.empty()
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a coordinator whose disk is full before it begins orders nothing, and needs nothing but room', async () => {
  coordinatorDisk.fill()
  const ended = await fleet.filo('stop', '--yes')
  expect(ended).toMatchObject({ code: 1 })
  expect(ended.stderr).toMatch(/state directory .* cannot be written/)
  expect(fleet.services.requests()).toEqual([])

  coordinatorDisk.empty()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('a run whose journal was deleted is unknown afterwards, and a new stop finds what is left to do', async () => {
  const stop = await stopUntilAsked('mail')
  stop.signal('SIGKILL')
  await stop.ended
  const state = join(fleet.path, '.state', 'test')
  for (const name of readdirSync(state).filter((one) => one.startsWith('journal.db') || one === 'locks')) {
    rmSync(join(state, name), { recursive: true, force: true })
  }
  fleet.services.letGo('mail')
  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 4 })

  const refused = await fleet.filo('stop', '--yes', '--patience', '1s')
  expect(refused).toMatchObject({ code: 75 })
  expect(refused.stdout).toContain('--take-over')
  expect(await fleet.filo('resume', '--take-over', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

/** Whether the agent of a service keeps room for what it must record. */
function reserveOf(service: string): boolean {
  return existsSync(join(fleet.agentOf(service).stateDir, 'ledger.db-reserve'))
}
