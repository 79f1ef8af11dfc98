import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandDefinition, LsbDefinition, SystemdDefinition } from '@filo/protocol'
import { describe, expect, test } from 'vitest'
import { openScripts } from '../../../../test/support/init-scripts.ts'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { Command } from './command.ts'
import { Lsb } from './lsb.ts'
import type { Manager } from './manager.ts'
import {
  describeManager,
  killDaemon,
  lendAct,
  ledgerOf,
  pidOf,
  writeDaemon,
  type Harness,
} from './testing.ts'

// Real init scripts with real daemons, as LSB services and as the argvs of declared commands.

const never = new AbortController().signal
const lsb = new Lsb()
const command = new Command()

async function openLsb(): Promise<Harness> {
  const scripts = await openScripts()
  return {
    manager: lsb,
    dir: scripts.dir,
    declare(name, behaviour): LsbDefinition {
      scripts.write(name, behaviour)
      return { kind: 'lsb', name, dir: scripts.dir }
    },
    undeclared: { kind: 'lsb', name: 'nonesuch', dir: scripts.dir },
    [Symbol.asyncDispose]: () => scripts[Symbol.asyncDispose](),
  }
}

function commandOf(script: string): CommandDefinition {
  return { kind: 'command', start: [script, 'start'], stop: [script, 'stop'], status: [script, 'status'] }
}

async function openCommand(): Promise<Harness> {
  const scripts = await openScripts()
  return {
    manager: command,
    dir: scripts.dir,
    declare: (name, behaviour) => commandOf(scripts.write(name, behaviour)),
    undeclared: commandOf(join(scripts.dir, 'nonesuch')),
    [Symbol.asyncDispose]: () => scripts[Symbol.asyncDispose](),
  }
}

const behaviours = ['plain', 'stubborn', 'slow', 'lying'] as const
describeManager('LSB scripts', openLsb, behaviours)
describeManager('declared commands', openCommand, behaviours)

/** A script that answers every action with one status. */
function answering(dir: string, status: number, prints = ''): LsbDefinition {
  const path = join(dir, `answers-${status}`)
  writeFileSync(path, `#!/bin/sh\n${prints === '' ? '' : `echo '${prints}'\n`}exit ${status}\n`)
  chmodSync(path, 0o755)
  return { kind: 'lsb', name: `answers-${status}`, dir }
}

async function see(definition: LsbDefinition) {
  const [sighting] = await lsb.observe([definition], never)
  return sighting!
}

describe('the status of an LSB script', () => {
  test.each([
    [0, 'running', 'yes', 'status 0: running (so it says)'],
    [1, 'failed', 'no', 'status 1: dead, but its pid file exists (so it says); no process named answers-1'],
    [2, 'failed', 'no', 'status 2: dead, but its lock file exists (so it says); no process named answers-2'],
    [3, 'stopped', 'no', 'status 3: stopped (so it says)'],
    [4, 'unknown', 'unknown', 'status 4: the script does not know (so it says)'],
    [5, 'unknown', 'unknown', 'status 5: a status that LSB does not define (so it says)'],
    [150, 'unknown', 'unknown', 'status 150: a status that LSB does not define (so it says)'],
  ])('%i is %s, live: %s', async (status, state, live, detail) => {
    using dir = tempDir()
    expect(await see(answering(dir.path, status, 'so it says'))).toEqual({ state, live, detail })
  })

  test('dead with a pid file proves nothing while a process of that name runs', async () => {
    await using scripts = await openScripts()
    const script = scripts.write('masquerade', 'plain')
    const definition: LsbDefinition = { kind: 'lsb', name: 'masquerade', dir: scripts.dir }
    await lsb.start(definition, lendAct(scripts.dir))
    const pid = pidOf(scripts.dir, 'masquerade')!
    writeFileSync(`${script}.pid`, '999999999')
    const seen = await see(definition)
    writeFileSync(`${script}.pid`, String(pid))
    expect(seen).toMatchObject({ state: 'failed', live: 'unknown', processes: [{ pid }] })
    expect(seen.detail).toContain('processes named masquerade, masquerade.daemon run')
  })

  test('of a command, dead with a pid file proves nothing: a script that breaks off says the same', async () => {
    using dir = tempDir()
    answering(dir.path, 1)
    const [seen] = await command.observe([commandOf(join(dir.path, 'answers-1'))], never)
    expect(seen).toMatchObject({ state: 'failed', live: 'unknown' })
  })

  test('a script that is not executable is missing', async () => {
    using dir = tempDir()
    const definition = answering(dir.path, 0)
    chmodSync(join(dir.path, 'answers-0'), 0o644)
    // Even root executes nothing that has no execute bit at all.
    expect(await see(definition)).toMatchObject({ state: 'missing', live: 'unknown' })
  })

  test('control characters that a script prints never reach a detail', async () => {
    using dir = tempDir()
    const path = join(dir.path, 'answers-0')
    answering(dir.path, 0)
    writeFileSync(
      path,
      String.raw`#!/bin/sh
printf '\033[2J\n  up\007 and \033[1mrunning\n'`,
    )
    expect((await see({ kind: 'lsb', name: 'answers-0', dir: dir.path })).detail).toBe(
      'status 0: running (up and running)',
    )
  })
})

test('a command without status can never be proven, and says what to declare', async () => {
  const definition: CommandDefinition = { kind: 'command', start: ['/bin/true'], stop: ['/bin/true'] }
  const [seen] = await command.observe([definition], never)
  expect(seen).toMatchObject({ state: 'unknown', live: 'unknown' })
  expect(seen!.detail).toContain('declare `status`')
})

test.each([
  [0, true, 'exit status 0'],
  [1, false, 'exit status 1 (failed)'],
  [4, false, 'exit status 4 (insufficient privilege)'],
  [5, false, 'exit status 5 (the program is not installed)'],
  [6, false, 'exit status 6 (the program is not configured)'],
])('a start that exits %i is accepted: %s', async (status, accepted, words) => {
  using dir = tempDir()
  const attempt = await lsb.start(answering(dir.path, status, 'hello'), lendAct(dir.path))
  expect(attempt).toMatchObject({ accepted, output: { head: 'hello\n' } })
  expect(attempt.detail).toBe(`start by ${dir.path}/answers-${status}: ${words}`)
})

test('a script runs behind its scope as the process that was noted, and answers with its own status', async () => {
  await using scripts = await openScripts()
  const action = { ...lendAct(scripts.dir), scope: ['env', 'SCOPE=mine'] }
  const script = join(scripts.dir, 'start')
  writeFileSync(script, '#!/bin/sh\necho "$SCOPE $$ $1"\nexit 4\n')
  chmodSync(script, 0o755)
  const attempt = await lsb.start({ kind: 'lsb', name: 'start', dir: scripts.dir }, action)
  const [group] = action.groups
  expect(attempt).toMatchObject({ accepted: false, output: { head: `mine ${group!.pgid} start\n` } })
  expect(attempt.detail).toBe(`start by ${script}: exit status 4 (insufficient privilege)`)
})

test('a daemon that keeps the output of its script open outlives the action and writes on', async () => {
  await using scripts = await openScripts()
  const daemon = writeDaemon(scripts.dir, 'loud', 'plain')
  const action = lendAct(scripts.dir)
  const script = join(scripts.dir, 'start')
  writeFileSync(script, `#!/bin/sh\nsetsid ${daemon} &\necho up\n`)
  chmodSync(script, 0o755)
  const attempt = await command.start({ kind: 'command', start: [script], stop: [script] }, action)
  expect(attempt).toMatchObject({ accepted: true, output: { head: 'up\n' } })
  await expect.poll(() => ledgerOf(scripts.dir)).toEqual(['begin loud'])
  killDaemon(scripts.dir, 'loud')
})

test('where systemd is PID 1, it is asked for the scripts of /etc/init.d, and for no others', async () => {
  using dir = tempDir()
  const asked: string[] = []
  const note = (verb: string, units: readonly SystemdDefinition[]): void => {
    asked.push(`${verb} ${units.map(({ unit }) => unit).join(' ')}`)
  }
  const systemd: Manager<SystemdDefinition> = {
    kind: 'systemd',
    observe(units) {
      note('observe', units)
      return Promise.resolve(units.map(({ unit }) => ({ state: 'stopping', live: 'yes', detail: unit })))
    },
    start(unit) {
      note('start', [unit])
      return Promise.resolve({ accepted: true, detail: '' })
    },
    stop(unit) {
      note('stop', [unit])
      return Promise.resolve({ accepted: true, detail: '' })
    },
    rootCommands: () => [],
    contains(unit) {
      note('contains', [unit])
      return Promise.resolve(true)
    },
  }
  const manager = new Lsb(systemd)
  const own = answering(dir.path, 3)
  const cron: LsbDefinition = { kind: 'lsb', name: 'cron', dir: '/etc/init.d/' }
  const seen = await manager.observe([own, cron, own, { ...cron, name: 'ssh' }], never)
  expect(seen.map(({ state }) => state)).toEqual(['stopped', 'stopping', 'stopped', 'stopping'])
  await manager.start(cron, lendAct(dir.path))
  await manager.stop(cron, lendAct(dir.path))
  await manager.stop(own, lendAct(dir.path))
  expect(await manager.contains(cron, process.pid, never)).toBe(true)
  expect(await manager.contains(own, process.pid, never)).toBe(false)
  expect(asked).toEqual([
    'observe cron.service ssh.service',
    'start cron.service',
    'stop cron.service',
    'contains cron.service',
  ])
})
