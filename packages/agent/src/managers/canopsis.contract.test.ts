import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CanopsisDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import { openScripts } from '../../../../test/support/init-scripts.ts'
import { startSupervisord } from '../../../../test/support/private-supervisord.ts'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { until } from '../../../../test/support/until.ts'
import { Canopsis } from './canopsis.ts'
import { Lsb } from './lsb.ts'
import { supervisord } from './supervisord.ts'
import { describeManager, lendAct, ledgerOf, writeDaemon, type Harness } from './testing.ts'

// Real init scripts and a real supervisord of the test's own.

const never = new AbortController().signal
const canopsis = new Canopsis(new Lsb(), supervisord)

function define(name: string, dir: string, socket: string, together = false): CanopsisDefinition {
  return CanopsisDefinition.parse({ kind: 'canopsis', name, dir, socket, together })
}

async function openWithScripts(): Promise<Harness> {
  const scripts = await openScripts()
  const server = await startSupervisord([])
  return {
    manager: canopsis,
    dir: scripts.dir,
    declare(name, behaviour) {
      scripts.write(name, behaviour)
      return define(name, scripts.dir, server.socket)
    },
    undeclared: define('nonesuch', scripts.dir, server.socket),
    async [Symbol.asyncDispose]() {
      await scripts[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function openWithoutScripts(): Promise<Harness> {
  const server = await startSupervisord([{ name: 'a' }, { name: 'b' }])
  return {
    manager: canopsis,
    dir: server.dir,
    declare(name, behaviour) {
      writeDaemon(server.dir, name, behaviour)
      return define(name, server.dir, server.socket)
    },
    undeclared: define('nonesuch', server.dir, server.socket),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

describeManager('Canopsis with scripts', openWithScripts, ['plain', 'stubborn', 'slow', 'lying'])
describeManager('Canopsis with supervisord', openWithoutScripts, ['plain', 'stubborn', 'slow'])

async function see(definition: CanopsisDefinition) {
  const [sighting] = await canopsis.observe([definition], never)
  return sighting!
}

test('a script comes before a program of the same name', async () => {
  await using server = await startSupervisord([{ name: 'both' }])
  using dir = tempDir()
  const both = define('both', dir.path, server.socket)
  expect((await see(both)).detail).toContain('STOPPED')
  const script = join(dir.path, 'both')
  writeFileSync(script, '#!/bin/sh\necho by script\nexit 0\n')
  chmodSync(script, 0o755)
  expect(await see(both)).toMatchObject({ state: 'running', detail: 'status 0: running (by script)' })
  expect((await canopsis.stop(both, lendAct(dir.path))).output).toMatchObject({ head: 'by script\n' })
  rmSync(script)
  expect(await see(both)).toMatchObject({ state: 'stopped' })
})

test('what is neither a script nor known to supervisord is missing, and both are named', async () => {
  await using server = await startSupervisord([])
  const { state, detail } = await see(define('nonesuch', '/opt/canopsis/etc/init.d', server.socket))
  expect(state).toBe('missing')
  expect(detail).toContain(
    'there is no script /opt/canopsis/etc/init.d/nonesuch, and supervisord knows no nonesuch',
  )
})

test('a group goes in series by priority, or all at once, and one of its programs by its full name', async () => {
  await using server = await startSupervisord(
    [
      { name: 'cleaner', options: ['priority=10'] },
      { name: 'perfdata', behaviour: 'slow', options: ['priority=20'] },
      { name: 'alert', options: ['priority=30'] },
    ],
    ['[group:amqp2engines]', 'programs=cleaner,perfdata,alert'],
  )
  const inSeries = define('amqp2engines', server.dir, server.socket)
  const atOnce = define('amqp2engines', server.dir, server.socket, true)
  const ends = (): string[] => ledgerOf(server.dir).filter((entry) => entry.startsWith('end'))
  for (const [engines, lastToEnd] of [
    [inSeries, 'end cleaner'],
    [atOnce, 'end perfdata'],
  ] as const) {
    expect(await canopsis.start(engines, lendAct(server.dir))).toMatchObject({ accepted: true })
    expect(await see(engines)).toMatchObject({ state: 'running' })
    const begun = (): number => ledgerOf(server.dir).filter((entry) => entry.startsWith('begin')).length
    await until('all engines to have begun', () => begun() === ends().length + 3)
    expect(await canopsis.stop(engines, lendAct(server.dir))).toMatchObject({ accepted: true })
    expect(ends().at(-1)).toBe(lastToEnd)
  }
  const one = define('amqp2engines:alert', server.dir, server.socket)
  await canopsis.start(one, lendAct(server.dir))
  expect(await see(one)).toMatchObject({ state: 'running' })
  expect(await see(inSeries)).toMatchObject({ state: 'failed', live: 'yes' })
})
