import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Dice } from '../support/dice.ts'
import { fourInARow } from '../support/fleet-file.ts'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startBroker, type Broker } from '../support/broker.ts'
import { until } from '../support/until.ts'
import { BootClock } from './support/clock.ts'
import { Wiretap, type Frame } from './support/wiretap.ts'

// R5, R6, R9: every command that ever went to an agent comes again, 1 to 50 times, in any order: at once, in the midst
// of the run and of the next one, late, to a new agent process, and to one that has lost its memory. Nothing of it has
// an effect, and none of it gives a host to anybody.

const seed = Number(process.env['FILO_SEED'] ?? 1)
const mostCopies = 50

const dice = new Dice(seed)
let broker: Broker
let fleet: Fleet
let clock: BootClock
let wiretap: Wiretap
openForFile(startBroker, fourInARow, (opened) => ({ broker, fleet } = opened))
beforeAll(async () => {
  clock = new BootClock(fleet.path, 'agents')
  for (const agent of fleet.agents.values()) {
    agent.environment = clock.environment
    await agent.restart()
  }
  wiretap = await Wiretap.open(broker.url, fleet.agents.keys())
})
afterAll(async () => {
  await wiretap?.[Symbol.asyncDispose]()
})

const downInOrder = ['web down', 'mail down', 'app down', 'db down']
const upInOrder = ['db up', 'app up', 'mail up', 'web up']
let delivered = 0

/** Each of the frames 1 to 50 times, in any order. */
function storm(frames: readonly Frame[]): Frame[] {
  const copies = frames.flatMap((frame) => Array.from({ length: dice.between(1, mostCopies) }, () => frame))
  for (let at = copies.length - 1; at > 0; at -= 1) {
    const other = dice.between(0, at)
    ;[copies[at], copies[other]] = [copies[other]!, copies[at]!]
  }
  return copies
}

/** Delivers all that was recorded until now, and waits until the agents have dealt with it. */
async function repeatAll(): Promise<void> {
  const copies = storm(wiretap.frames)
  delivered += copies.length
  await wiretap.deliver(copies)
  // An agent takes what comes in its order: who answers now has seen all of it.
  await until('every agent to answer', async () => [0, 3].includes((await fleet.filo('status')).code!), {
    timeoutMs: 60_000,
  })
}

async function expectNothingOf(repeating: () => Promise<void>): Promise<void> {
  fleet.services.forget()
  await repeating()
  expect(fleet.services.ledger(), `FILO_SEED=${seed}`).toEqual([])
  expect((await fleet.filo('locks')).stdout).not.toMatch(/r\d{8}-/)
}

async function expectToEnd(verb: 'start' | 'stop', effects: readonly string[]): Promise<void> {
  fleet.services.forget()
  const { code, stdout, stderr } = await fleet.filo(verb, '--yes')
  expect(code, `${stderr}\n${stdout}`).toBe(0)
  expect(fleet.services.effects()).toEqual(effects)
}

test('commands that come again have no second effect, at once, late, after a restart, and with the memory gone', async () => {
  await expectToEnd('start', upInOrder)
  await expectToEnd('stop', downInOrder)
  // Down: whatever was said to start or stop them.
  await expectNothingOf(repeatAll)
  await expectToEnd('start', upInOrder)
  // Up: an action that is asked for again would be seen now.
  await expectNothingOf(repeatAll)
  clock.setAhead(31_000)
  await expectNothingOf(repeatAll)
  clock.setAhead(3_600_000)
  await expectNothingOf(repeatAll)
  const agents = [...fleet.agents.values()]
  expect(clock.readers()).toEqual(expect.arrayContaining(agents.map(({ pid }) => pid)))
  for (const agent of fleet.agents.values()) await agent.restart()
  await expectNothingOf(repeatAll)
  for (const agent of fleet.agents.values()) {
    await agent.kill()
    rmSync(agent.stateDir, { recursive: true })
    await agent.start()
  }
  await expectNothingOf(repeatAll)
  for (const type of ['claim', 'observe', 'act', 'release']) {
    const hosts = new Set(wiretap.frames.filter((frame) => frame.type === type).map(({ host }) => host))
    expect(hosts.size, `hosts that were sent a ${type}`).toBe(agents.length)
  }
  process.stderr.write(`${wiretap.frames.length} commands recorded, ${delivered} copies delivered\n`)
})

test('commands that come again in the midst of their own run, and of the next one, change neither', async () => {
  fleet.services.hold('mail')
  fleet.services.forget()
  await using stop = fleet.start(['stop', '--yes'])
  await fleet.services.untilAsked('mail', 'stop')
  await wiretap.deliver(storm(wiretap.frames))
  fleet.services.letGo('mail')
  await until('the next step', () => fleet.services.requests().includes('app stop'), { timeoutMs: 60_000 })
  await wiretap.deliver(storm(wiretap.frames))
  expect(await stop.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['web stop', 'mail stop', 'app stop', 'db stop'])
  expect(fleet.services.effects()).toEqual(downInOrder)

  fleet.services.forget()
  await using start = fleet.start(['start', '--yes'])
  await fleet.services.untilAsked('db', 'start')
  await wiretap.deliver(storm(wiretap.frames))
  expect(await start.ended).toMatchObject({ code: 0 })
  expect(fleet.services.requests()).toEqual(['db start', 'app start', 'mail start', 'web start'])
  expect(fleet.services.effects()).toEqual(upInOrder)
})
