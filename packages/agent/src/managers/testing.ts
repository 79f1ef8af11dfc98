import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { judge, Redactor, type Goal, type ManagerDefinition, type Verdict } from '@filo/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../../../test/support/until.ts'
import { isGroupAlive } from '../process-group.ts'
import { processWithPid } from '../process-table.ts'
import type { Act, Manager, ProcessGroup, Sighting } from './manager.ts'

// What every manager promises, as tests that each must pass against the real program.

/**
 * How a service of the test behaves. `stubborn` ignores SIGTERM; `slow` takes a second to go; `lying` is one whose
 * stop says that it is done and does nothing.
 */
export type Behaviour = 'plain' | 'stubborn' | 'slow' | 'lying'

/** A manager with services of a test's own; disposing ends all that was started. */
export interface Harness extends AsyncDisposable {
  readonly manager: Manager
  /** Where the services stand and write. */
  readonly dir: string
  /** Makes a service that does not run yet; its daemon is one of `writeDaemon` by the same name. Names: a, b. */
  declare(name: string, behaviour: Behaviour): ManagerDefinition
  /** Whether the manager starts again what has ended by itself. */
  readonly revives?: true
  /** A service of which the manager knows nothing. */
  readonly undeclared: ManagerDefinition
}

/** An Act that remembers what it is told. */
export interface RecordedAct extends Act {
  readonly lines: string[]
  readonly groups: ProcessGroup[]
}

export function lendAct(dir: string, signal = new AbortController().signal): RecordedAct {
  const lines: string[] = []
  const groups: ProcessGroup[] = []
  return {
    signal,
    lines,
    groups,
    onLine: (line) => lines.push(line),
    onProcess: (group) => groups.push(group),
    outputFile: join(dir, 'output.log'),
    redactor: new Redactor(),
    scope: [],
  }
}

/**
 * A daemon in the foreground, `<dir>/<name>.daemon`. It writes its pid into `<name>.pid`, and when it started and
 * ended into `ledger`: what really happened, whatever a manager says.
 */
export function writeDaemon(dir: string, name: string, behaviour: Behaviour): string {
  const path = join(dir, `${name}.daemon`)
  const onTerm = {
    plain: `trap 'echo "end ${name}" >> ${dir}/ledger; exit 0' TERM`,
    lying: '',
    stubborn: "trap '' TERM",
    slow: `trap 'sleep 1; echo "end ${name}" >> ${dir}/ledger; exit 0' TERM`,
  }[behaviour]
  writeFileSync(
    path,
    `#!/bin/sh
${onTerm}
echo $$ > ${dir}/${name}.pid
echo "begin ${name}" >> ${dir}/ledger
while :; do sleep 0.05; done
`,
  )
  chmodSync(path, 0o755)
  return path
}

/** The pid of a running daemon; one whose parent has not noticed its end yet runs no more. */
export function pidOf(dir: string, name: string): number | undefined {
  const file = join(dir, `${name}.pid`)
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
  return pid > 0 && processWithPid(pid) !== undefined ? pid : undefined
}

/** What a daemon wrote of itself and the others, in order. */
export function ledgerOf(dir: string): string[] {
  const file = join(dir, 'ledger')
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
}

/** Ends a daemon of the test, if it runs; never throws. */
export function killDaemon(dir: string, name: string): void {
  const pid = pidOf(dir, name)
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

const never = new AbortController().signal

/** @param behaviours those that services under this manager can have. */
export function describeManager(
  name: string,
  open: () => Promise<Harness>,
  behaviours: readonly Behaviour[],
): void {
  describe(`the contract of managers, kept by ${name}`, () => {
    let harness: Harness
    beforeEach(async () => {
      harness = await open()
    })
    afterEach(() => harness[Symbol.asyncDispose]())

    const on = new Subject(() => harness)
    testStates(on)
    testManyAndMissing(on)
    testStopping(on)
    if (behaviours.includes('lying')) testLie(on)
  })
}

/** The harness of the current test, asked in short. */
class Subject {
  readonly #current: () => Harness

  constructor(current: () => Harness) {
    this.#current = current
  }

  get harness(): Harness {
    return this.#current()
  }

  async see(definition: ManagerDefinition): Promise<Sighting> {
    const [sighting] = await this.harness.manager.observe([definition], never)
    return sighting!
  }

  async verdict(definition: ManagerDefinition, goal: Goal): Promise<Verdict> {
    const sighting = await this.see(definition)
    const observation = { ...sighting, manager: definition.kind, seenAt: '', heldMs: 0 }
    return judge(observation as unknown as Parameters<typeof judge>[0], goal, 0)
  }

  /** Starts the service `a` and waits until it is seen running. */
  async run(behaviour: Behaviour): Promise<ManagerDefinition> {
    const definition = this.harness.declare('a', behaviour)
    expect(await this.harness.manager.start(definition, this.act())).toMatchObject({ accepted: true })
    await this.untilProven(definition, 'running')
    await until('the daemon', () => this.pid())
    return definition
  }

  async untilProven(definition: ManagerDefinition, goal: Goal): Promise<void> {
    await until(`the service to be ${goal}`, async () => (await this.verdict(definition, goal)) === 'proves')
  }

  act(signal?: AbortSignal): RecordedAct {
    return lendAct(this.harness.dir, signal)
  }

  /** Of the daemon of the service `a`. */
  pid(): number | undefined {
    return pidOf(this.harness.dir, 'a')
  }
}

function testStates(on: Subject): void {
  test('a service is stopped, started, running, stopped and stopped again', async () => {
    const { manager } = on.harness
    const definition = on.harness.declare('a', 'plain')
    expect(await on.see(definition)).toMatchObject({ state: 'stopped', live: 'no' })
    expect(await manager.start(definition, on.act())).toMatchObject({ accepted: true })
    await on.untilProven(definition, 'running')
    const pid = await until('the daemon', () => on.pid())
    expect(await manager.stop(definition, on.act())).toMatchObject({ accepted: true })
    await on.untilProven(definition, 'stopped')
    expect(processWithPid(pid)).toBeUndefined()
    expect(await manager.stop(definition, on.act())).toMatchObject({ accepted: true })
    expect(ledgerOf(on.harness.dir)).toEqual(['begin a', 'end a'])
  })

  test('starting what runs leaves it as it is', async () => {
    const definition = await on.run('plain')
    const pid = on.pid()
    expect(await on.harness.manager.start(definition, on.act())).toMatchObject({ accepted: true })
    await on.untilProven(definition, 'running')
    expect(on.pid()).toBe(pid)
    expect(ledgerOf(on.harness.dir)).toEqual(['begin a'])
  })

  test('observing changes nothing', async () => {
    const stopped = on.harness.declare('b', 'plain')
    const running = await on.run('plain')
    const pid = on.pid()
    for (let round = 0; round < 3; round++) {
      expect(await on.verdict(stopped, 'stopped')).toBe('proves')
      expect(await on.verdict(running, 'running')).toBe('proves')
    }
    expect(on.pid()).toBe(pid)
    expect(ledgerOf(on.harness.dir)).toEqual(['begin a'])
  })

  test('a service that dies by itself is seen to have failed, or runs again and was never stopped', async () => {
    const definition = await on.run('plain')
    const pid = on.pid()!
    process.kill(pid, 'SIGKILL')
    if (on.harness.revives) {
      await until('the next daemon', async () => {
        expect((await on.see(definition)).live).toBe('yes')
        return on.pid() !== undefined && on.pid() !== pid
      })
      await on.untilProven(definition, 'running')
    } else {
      await until('the failure to be seen', async () => (await on.see(definition)).state === 'failed')
      expect(await on.verdict(definition, 'running')).toBe('contradicts')
    }
  })
}

function testManyAndMissing(on: Subject): void {
  test('many are seen at once, in the order in which they were asked for', async () => {
    const running = await on.run('plain')
    const stopped = on.harness.declare('b', 'plain')
    const { undeclared, manager } = on.harness
    const seen = await manager.observe([stopped, running, undeclared, stopped, running], never)
    expect(seen.map(({ state }) => state)).toEqual(['stopped', 'running', 'missing', 'stopped', 'running'])
    expect(await manager.observe([], never)).toEqual([])
  })

  test('those who ask side by side are each answered for what they asked', async () => {
    const running = await on.run('plain')
    const stopped = on.harness.declare('b', 'plain')
    const { undeclared, manager } = on.harness
    const aborting = new AbortController()
    const asked = [
      manager.observe([running], never),
      manager.observe([running, stopped], aborting.signal),
      manager.observe([undeclared, running], never),
      manager.observe([stopped], never),
    ]
    aborting.abort()
    const seen = await Promise.all(asked)
    expect(seen.map((sightings) => sightings.map(({ state }) => state))).toEqual([
      ['running'],
      ['unknown', 'unknown'],
      ['missing', 'running'],
      ['stopped'],
    ])
  })

  test('what is asked after a change is not answered from before', async () => {
    const definition = await on.run('plain')
    const before = on.see(definition)
    expect(await on.harness.manager.stop(definition, on.act())).toMatchObject({ accepted: true })
    await until('the daemon to end', () => on.pid() === undefined)
    expect((await on.see(definition)).state).not.toBe('running')
    await before
  })

  test('what is not there is missing, which proves nothing, and cannot be started or stopped', async () => {
    const { undeclared, manager } = on.harness
    expect(await on.see(undeclared)).toMatchObject({ state: 'missing', live: 'unknown' })
    expect(await manager.start(undeclared, on.act())).toMatchObject({ accepted: false })
    expect(await manager.stop(undeclared, on.act())).toMatchObject({ accepted: false })
  })

  test('an observation that is cut short is unknown, never stopped', async () => {
    const definition = on.harness.declare('a', 'plain')
    const [seen] = await on.harness.manager.observe([definition], AbortSignal.abort())
    expect(seen).toMatchObject({ state: 'unknown', live: 'unknown' })
  })
}

function testStopping(on: Subject): void {
  test('a service that takes its time is not stopped before it is gone', async () => {
    const definition = await on.run('slow')
    const stopping = on.harness.manager.stop(definition, on.act())
    await until('the service to be seen stopped', async () => {
      // Asked before the look: a daemon that is there afterwards was there all the while.
      const [seen] = await on.harness.manager.observe([definition], never)
      const isThere = on.pid() !== undefined
      expect(isThere && seen!.live === 'no').toBe(false)
      return !isThere && seen!.state === 'stopped'
    })
    expect(await stopping).toMatchObject({ accepted: true })
  })

  test('a service that ignores SIGTERM is live until it is gone', async () => {
    const definition = await on.run('stubborn')
    const controller = new AbortController()
    const stopping = on.harness.manager.stop(definition, on.act(controller.signal))
    for (let round = 0; round < 10; round++) {
      const seen = await on.see(definition)
      expect(seen.live).toBe('yes')
      expect(['running', 'stopping']).toContain(seen.state)
    }
    controller.abort()
    await stopping
    expect(on.pid()).toBeDefined()
    expect(await on.verdict(definition, 'stopped')).not.toBe('proves')
  })

  test('an abort ends the waiting, and the processes of the action', async () => {
    const definition = await on.run('stubborn')
    const controller = new AbortController()
    const action = on.act(controller.signal)
    const stopping = on.harness.manager.stop(definition, action)
    controller.abort()
    await Promise.race([stopping, until('the aborted stop to return', () => false, { timeoutMs: 6000 })])
    expect(action.groups.filter(isGroupAlive)).toEqual([])
  })
}

function testLie(on: Subject): void {
  test('a stop that only says so leaves the service running in plain sight', async () => {
    const definition = await on.run('lying')
    expect(await on.harness.manager.stop(definition, on.act())).toMatchObject({ accepted: true })
    expect(await on.see(definition)).toMatchObject({ state: 'running', live: 'yes' })
    expect(on.pid()).toBeDefined()
  })
}
