import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { fourInARow } from '../support/fleet-file.ts'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startBroker, type Broker } from '../support/broker.ts'
import { until } from '../support/until.ts'
import { BootClock } from './support/clock.ts'
import { Wiretap } from './support/wiretap.ts'

// R4, R9: an agent is frozen, a command lands in its socket, and it is thawed. However young the command still is, it
// was sent to somebody who did not answer: it is refused and barred, and until then nobody knows what became of it.

let broker: Broker
let fleet: Fleet
let wiretap: Wiretap
/** Of app's agent, and of the coordinator: both of one machine's pace. */
let agentClock: BootClock
let coordinatorClock: BootClock
openForFile(startBroker, fourInARow, (opened) => ({ broker, fleet } = opened))
beforeAll(async () => {
  agentClock = new BootClock(fleet.path, 'agent')
  coordinatorClock = new BootClock(fleet.path, 'coordinator')
  fleet.agentOf('app').environment = agentClock.environment
  await fleet.agentOf('app').restart()
  wiretap = await Wiretap.open(broker.url, fleet.agents.keys())
})
afterAll(async () => {
  await wiretap?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  coordinatorClock.setAhead(0)
  await fleet.recover()
})

const downInOrder = ['web down', 'mail down', 'app down', 'db down']
const boundMs = { timeoutMs: 60_000 }

/** A stop whose command to stop app lies in the socket of an agent that is frozen. */
async function stopIntoFrozen(...options: string[]) {
  fleet.services.hold('mail')
  const stop = fleet.start(['stop', '--yes', ...options], {
    env: coordinatorClock.environment,
    timeoutMs: 120_000,
  })
  await fleet.services.untilAsked('mail', 'stop')
  fleet.agentOf('app').freeze()
  const frozenAt = performance.now()
  const sent = wiretap.frames.length
  fleet.services.letGo('mail')
  const isSent = () =>
    wiretap.frames.slice(sent).some(({ host, type }) => host === 'app-host' && type === 'act')
  await until('the command to stop app to be sent', isSent, boundMs)
  return { stop, frozenAt }
}

/** What `filo show` says of the step that stops app. */
async function stepOfApp(): Promise<string> {
  const { stdout } = await fleet.filo('show', await fleet.newestRun())
  return stdout.split('\n').find((line) => line.includes('stop app@app-host')) ?? ''
}

/** That the agent refused the command which had waited, and barred its action. */
async function untilRefused(from: number): Promise<void> {
  const isRefused = () =>
    /"refused":"act","reason":"beacon".*stood still.*"sealed":true/.test(fleet.agentOf('app').log.slice(from))
  await until('the agent to refuse what it was asked while it was frozen', isRefused, boundMs)
}

test('thawed after six seconds an agent refuses the command that waited; the run, in which it was unknown, sends another', async () => {
  const { stop, frozenAt } = await stopIntoFrozen()
  await using running = stop
  // After ten seconds without a word an action is asked about; the coordinator's clock makes it so at once.
  coordinatorClock.setAhead(11_000)
  await until('the step to be unknown', async () => /unknown/.test(await stepOfApp()), boundMs)
  await until('six seconds to have passed', () => performance.now() - frozenAt > 6000)
  const before = fleet.agentOf('app').log.length
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])
  fleet.agentOf('app').thaw()
  await untilRefused(before)
  expect(await running.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('thawed six seconds after the run had given it up, an agent does not stop what it was asked to', async () => {
  const { stop, frozenAt } = await stopIntoFrozen('--patience', '1s')
  coordinatorClock.setAhead(22_000)
  const ended = await stop.ended
  expect(coordinatorClock.readers()).toContain(stop.pid)
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toMatch(/stop app@app-host is unknown/)
  await until('six seconds to have passed', () => performance.now() - frozenAt > 6000)
  const before = fleet.agentOf('app').log.length
  fleet.agentOf('app').thaw()
  await untilRefused(before)
  expect(await fleet.filo('status')).toMatchObject({ code: 3 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])

  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('thawed after five minutes an agent refuses the command that waited, and a resume sends another', async () => {
  const { stop } = await stopIntoFrozen('--patience', '1s')
  const fiveMinutes = 300_000
  agentClock.setAhead(fiveMinutes)
  coordinatorClock.setAhead(fiveMinutes)
  const ended = await stop.ended
  expect(coordinatorClock.readers()).toContain(stop.pid)
  expect(ended).toMatchObject({ code: 3 })
  expect(ended.stdout).toMatch(/stop app@app-host is unknown/)
  const before = fleet.agentOf('app').log.length
  fleet.agentOf('app').thaw()
  await untilRefused(before)
  expect(agentClock.readers()).toContain(fleet.agentOf('app').pid)
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop'])

  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(downInOrder)
})
