import { beforeEach, expect, test } from 'vitest'
import type { Ended, RunningFilo } from './support/filo.ts'
import type { Fleet } from './support/fleet.ts'
import { openForFile } from './support/fleet-of-file.ts'
import { expectAllStoppedInOrder, twelveServices } from './support/layers.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { until } from './support/until.ts'

// kill -9 of everything that Filo consists of, while it stops twelve services on four hosts. The services' own
// ledger tells what took effect, and when.

let broker: Broker
let fleet: Fleet
openForFile(startBroker, twelveServices, (opened) => ({ broker, fleet } = opened))
beforeEach(async () => {
  for (const name of Object.keys(twelveServices)) fleet.services.letGo(name)
  await fleet.bringUp()
})

const boundMs = { timeoutMs: 60_000 }

/** Starts the stop, and waits until the services' own count says that `effects` of them are down. */
async function stopUntil(effects: number): Promise<RunningFilo> {
  const stop = fleet.start(['stop', '--yes'])
  const { services } = fleet
  await until(`${effects} services to be down`, () => services.effects().length >= effects, boundMs)
  await until('the stop to be under way', () => services.requests().length > effects, boundMs)
  return stop
}

/** Whatever became of the run: at its end, after a resume where it takes one, all are down, once and in order. */
async function expectRecovery(run: string, ended?: Ended): Promise<void> {
  if (ended?.code !== 0) expect(await fleet.filo('resume', run, '--yes')).toMatchObject({ code: 0 })
  expectAllStoppedInOrder(fleet.services)
  expect(await fleet.filo('show', run, '--json')).toMatchObject({
    stdout: expect.stringContaining('"outcome": "succeeded"'),
  })
}

test.each([0, 2, 5, 9])(
  'after kill -9 of the coordinator at effect %i, a resume ends the stop',
  async (effects) => {
    await using stop = await stopUntil(effects)
    stop.signal('SIGKILL')
    await stop.ended
    await expectRecovery(await fleet.newestRun())
  },
)

test.each(['web2', 'app1', 'db3'])(
  'after kill -9 of the agent in the midst of stopping %s, it ends',
  async (name) => {
    const { services } = fleet
    services.hold(name)
    await using stop = fleet.start(['stop', '--yes'])
    await until(`${name} to be asked to stop`, () => services.requests().includes(`${name} stop`), boundMs)
    await fleet.agentOf(name).kill()
    services.letGo(name)
    await fleet.agentOf(name).start()
    const ended = await stop.ended
    await expectRecovery(await fleet.newestRun(), ended)
  },
)

test('an agent that is ended in order in the midst of an action does not wait for it, nor end it', async () => {
  const { services } = fleet
  services.hold('mail1')
  await using stop = fleet.start(['stop', '--yes'])
  await until('mail1 to be asked to stop', () => services.requests().includes('mail1 stop'), boundMs)
  await fleet.agentOf('mail1').stop()
  expect(services.isUp('mail1')).toBe(true)
  await fleet.agentOf('mail1').start()
  services.letGo('mail1')
  const ended = await stop.ended
  await expectRecovery(await fleet.newestRun(), ended)
  expect(services.requests().filter((request) => request === 'mail1 stop')).toHaveLength(1)
})

test('an agent killed and back while its script still runs waits for that script, and runs no other', async () => {
  const { services } = fleet
  services.hold('mail1')
  await using stop = fleet.start(['stop', '--yes'])
  await until('mail1 to be asked to stop', () => services.requests().includes('mail1 stop'), boundMs)
  await fleet.agentOf('mail1').restart()
  services.letGo('mail1')
  const ended = await stop.ended
  await expectRecovery(await fleet.newestRun(), ended)
  expect(services.requests().filter((request) => request === 'mail1 stop')).toHaveLength(1)
})

test.each([1, 7])(
  'after kill -9 of RabbitMQ at effect %i, and its restart, the stop ends',
  async (effects) => {
    await using stop = await stopUntil(effects)
    await broker.kill()
    await broker.restart()
    const ended = await stop.ended
    await expectRecovery(await fleet.newestRun(), ended)
  },
)

test('while RabbitMQ is frozen nothing is lost, and once it is not the stop ends', async () => {
  const { services } = fleet
  services.hold('app2')
  await using stop = await stopUntil(6)
  await broker.freeze()
  services.letGo('app2')
  await until('app2 to be down', () => !services.isUp('app2'), boundMs)
  await broker.thaw()
  const ended = await stop.ended
  await expectRecovery(await fleet.newestRun(), ended)
})

test('after kill -9 of coordinator, agent and RabbitMQ in one stop, a resume ends it', async () => {
  const { services } = fleet
  services.hold('mail3')
  await using stop = await stopUntil(3)
  await until('mail3 to be asked to stop', () => services.requests().includes('mail3 stop'), boundMs)
  await broker.kill()
  stop.signal('SIGKILL')
  await fleet.agentOf('mail3').kill()
  await stop.ended
  services.letGo('mail3')

  expect(await fleet.filo('resume', '--yes')).toMatchObject({ code: 69 })
  await broker.restart()
  await fleet.agentOf('mail3').start()
  await expectRecovery(await fleet.newestRun())
})

test('ending an agent, by kill -9 or in order, touches no service that it started', async () => {
  const { services } = fleet
  const pids = () => Object.keys(twelveServices).map((name) => services.pid(name))
  const before = pids()
  for (const agent of fleet.agents.values()) await agent.restart()
  for (const agent of fleet.agents.values()) {
    await agent.stop()
    await agent.start()
  }
  expect(pids()).toEqual(before)
  for (const name of Object.keys(twelveServices)) expect(services.isUp(name)).toBe(true)
  expect(services.ledger()).toEqual([])
  expect(await fleet.filo('status')).toMatchObject({ code: 0 })
})
