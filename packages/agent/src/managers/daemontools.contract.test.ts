import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DaemontoolsDefinition } from '@filo/protocol'
import { describe, expect, test } from 'vitest'
import { requireProgram } from '../../../../test/support/packages.ts'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { until } from '../../../../test/support/until.ts'
import { processWithPid } from '../process-table.ts'
import { Daemontools } from './daemontools.ts'
import {
  describeManager,
  killDaemon,
  lendAct,
  ledgerOf,
  pidOf,
  writeDaemon,
  type Harness,
} from './testing.ts'

// A real supervise for each service, in directories of the test's own.

const never = new AbortController().signal
const daemontools = new Daemontools()

interface Supervised extends AsyncDisposable {
  readonly dir: string
  /** A service directory whose `run` is the test's daemon, or the given script; down until it is started. */
  declare(name: string, script?: string): DaemontoolsDefinition
  /** Has it looked after, as svscan does. */
  supervise(definition: DaemontoolsDefinition): Promise<void>
  /** Ends its supervise, and nothing else. */
  abandon(definition: DaemontoolsDefinition): Promise<void>
  /** Starts a program that ends with the test. */
  begin(program: string, ...args: string[]): Promise<ChildProcess>
}

async function openSupervised(): Promise<Supervised> {
  const temp = tempDir()
  const names: string[] = []
  const children: ChildProcess[] = []
  const supervisors = new Map<string, ChildProcess>()
  const begin: Supervised['begin'] = async (program, ...args) => {
    const child = spawn(await requireProgram(program, 'daemontools'), args, { stdio: 'ignore' })
    children.push(child)
    return child
  }
  const end = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL')
    await until('a process of the test to end', () => child.exitCode !== null || child.signalCode !== null)
  }
  return {
    dir: temp.path,
    begin,
    declare(name, script) {
      names.push(name)
      const service = join(temp.path, 'service', name)
      mkdirSync(service, { recursive: true })
      writeFileSync(join(service, 'down'), '')
      writeFileSync(join(service, 'run'), script ?? `#!/bin/sh\nexec ${join(temp.path, `${name}.daemon`)}\n`)
      chmodSync(join(service, 'run'), 0o755)
      return { kind: 'daemontools', service }
    },
    async supervise(definition) {
      supervisors.set(definition.service, await begin('supervise', definition.service))
      await until('supervise to look after it', async () => (await see(definition)).detail.startsWith('down'))
    },
    abandon: ({ service }) => end(supervisors.get(service)!),
    async [Symbol.asyncDispose]() {
      await Promise.all(children.map(end))
      for (const name of names) killDaemon(temp.path, name)
      temp[Symbol.dispose]()
    },
  }
}

async function openHarness(): Promise<Harness> {
  const supervised = await openSupervised()
  const services = new Map<string, DaemontoolsDefinition>()
  for (const name of ['a', 'b']) {
    services.set(name, supervised.declare(name))
    await supervised.supervise(services.get(name)!)
  }
  return {
    manager: daemontools,
    dir: supervised.dir,
    revives: true,
    declare(name, behaviour) {
      writeDaemon(supervised.dir, name, behaviour)
      return services.get(name)!
    },
    undeclared: { kind: 'daemontools', service: join(supervised.dir, 'service/nonesuch') },
    [Symbol.asyncDispose]: () => supervised[Symbol.asyncDispose](),
  }
}

describeManager('daemontools', openHarness, ['plain', 'stubborn', 'slow'])

async function see(definition: DaemontoolsDefinition) {
  const [sighting] = await daemontools.observe([definition], never)
  return sighting!
}

async function run(supervised: Supervised, definition: DaemontoolsDefinition): Promise<void> {
  expect(await daemontools.start(definition, lendAct(supervised.dir))).toMatchObject({ accepted: true })
  await until('the service to run', async () => (await see(definition)).state === 'running')
}

test('a service that ends as soon as it is started is never seen running, and never stopped', async () => {
  await using supervised = await openSupervised()
  const service = supervised.declare('quick', `#!/bin/sh\necho start >> ${supervised.dir}/starts\nexit 1\n`)
  await supervised.supervise(service)
  await daemontools.start(service, lendAct(supervised.dir))
  const seen = new Set<string>()
  await until('the third start', async () => {
    const { state, live } = await see(service)
    seen.add(state)
    expect(live).toBe(state === 'stopped' ? 'no' : 'yes')
    return readFileSync(`${supervised.dir}/starts`, 'utf8').split('\n').length > 3
  })
  expect(seen).not.toContain('running')
  expect(seen).toContain('failed')
  await daemontools.stop(service, lendAct(supervised.dir))
  await until('the stop', async () => (await see(service)).state === 'stopped')
})

test('a service that is paused has failed, and can be stopped', async () => {
  await using supervised = await openSupervised()
  writeDaemon(supervised.dir, 'a', 'plain')
  const service = supervised.declare('a')
  await supervised.supervise(service)
  await run(supervised, service)
  await supervised.begin('svc', '-p', service.service)
  const paused = await until('the pause', async () => {
    const seen = await see(service)
    return seen.state === 'failed' ? seen : undefined
  })
  expect(paused).toMatchObject({ live: 'yes' })
  expect(paused.detail).toContain('svc -c')
  await daemontools.stop(service, lendAct(supervised.dir))
  await until('the stop', async () => (await see(service)).state === 'stopped')
  expect(ledgerOf(supervised.dir)).toEqual(['begin a', 'end a'])
})

test('a service that runs says how long its process has lived, and what it is', async () => {
  await using supervised = await openSupervised()
  writeDaemon(supervised.dir, 'a', 'plain')
  const service = supervised.declare('a')
  await supervised.supervise(service)
  const startedAt = performance.now()
  await run(supervised, service)
  const seen = await see(service)
  expect(seen.heldMs).toBeGreaterThanOrEqual(1000)
  // The kernel counts the start of a process in hundredths of a second.
  expect(seen.heldMs).toBeLessThanOrEqual(performance.now() - startedAt + 20)
  expect(seen.processes).toMatchObject([{ pid: pidOf(supervised.dir, 'a') }])
})

test('a service contains its process and those below it, and no others', async () => {
  await using supervised = await openSupervised()
  const service = supervised.declare('a', `#!/bin/sh\nsleep 1000 & echo $! > ${supervised.dir}/a.pid\nwait\n`)
  await supervised.supervise(service)
  await run(supervised, service)
  const below = await until('the process below', () => pidOf(supervised.dir, 'a'))
  expect(await daemontools.contains(service, below, never)).toBe(true)
  expect(await daemontools.contains(service, process.pid, never)).toBe(false)
})

describe('without supervise', () => {
  test('a service whose process lives on is unknown, and stopped once it has ended', async () => {
    await using supervised = await openSupervised()
    writeDaemon(supervised.dir, 'a', 'plain')
    const service = supervised.declare('a')
    await supervised.supervise(service)
    await run(supervised, service)
    await supervised.abandon(service)
    const pid = pidOf(supervised.dir, 'a')!
    expect(await see(service)).toMatchObject({ state: 'unknown', live: 'unknown', processes: [{ pid }] })
    expect(await daemontools.stop(service, lendAct(supervised.dir))).toMatchObject({ accepted: false })
    process.kill(pid, 'SIGKILL')
    await until('the process to end', () => processWithPid(pid) === undefined)
    expect(await see(service)).toMatchObject({ state: 'stopped', live: 'no' })
  })

  test('a service is stopped where nobody ever looked after it, and cannot be started', async () => {
    await using supervised = await openSupervised()
    const service = supervised.declare('a')
    expect(await see(service)).toMatchObject({ state: 'stopped', live: 'no' })
    const attempt = await daemontools.start(service, lendAct(supervised.dir))
    expect(attempt.accepted).toBe(false)
    expect(attempt.detail).toContain('unable to control')
  })

  test('a service that svscan may start at any moment is unknown', async () => {
    await using supervised = await openSupervised()
    writeDaemon(supervised.dir, 'a', 'plain')
    const service = supervised.declare('a')
    const scanned = join(supervised.dir, 'scanned')
    mkdirSync(scanned)
    const svscan = await supervised.begin('svscan', scanned)
    await until('svscan to stand in its directory', () =>
      processWithPid(svscan.pid!)?.command.includes('svscan'),
    )
    expect(await see(service)).toMatchObject({ state: 'stopped' })
    symlinkSync(service.service, join(scanned, 'a'))
    // svscan looks every five seconds: until then nobody has started it, and nobody knows that.
    expect(await see(service)).toMatchObject({ state: 'unknown', processes: [{ pid: svscan.pid }] })
    // What svscan would begin by then would outlive it.
    svscan.kill('SIGKILL')
    await until('svscan to end', () => processWithPid(svscan.pid!) === undefined)
    expect(await see(service)).toMatchObject({ state: 'stopped' })
  })
})
