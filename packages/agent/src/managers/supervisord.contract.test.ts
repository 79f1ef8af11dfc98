import { createServer } from 'node:http'
import { join } from 'node:path'
import { SupervisordDefinition } from '@filo/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startSupervisord, type PrivateSupervisord } from '../../../../test/support/private-supervisord.ts'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { until } from '../../../../test/support/until.ts'
import { supervisord } from './supervisord.ts'
import { describeManager, lendAct, ledgerOf, pidOf, writeDaemon, type Harness } from './testing.ts'
import { call } from './xml-rpc.ts'

const never = new AbortController().signal

async function openHarness(): Promise<Harness> {
  const server = await startSupervisord([{ name: 'a' }, { name: 'b' }])
  return {
    manager: supervisord,
    dir: server.dir,
    declare(name, behaviour) {
      // supervisord reads a program's file only when it starts it.
      writeDaemon(server.dir, name, behaviour)
      return server.define({ program: name })
    },
    undeclared: server.define({ program: 'nonesuch' }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

describeManager('supervisord', openHarness, ['plain', 'stubborn', 'slow'])

async function see(definition: SupervisordDefinition) {
  const [sighting] = await supervisord.observe([definition], never)
  return sighting!
}

describe('a group', () => {
  let server: PrivateSupervisord
  beforeEach(async () => {
    server = await startSupervisord(
      [
        { name: 'third', options: ['priority=30'] },
        { name: 'first', options: ['priority=10'] },
        { name: 'second', behaviour: 'slow', options: ['priority=20'] },
        { name: 'outside' },
      ],
      ['[group:web]', 'programs=third,first,second'],
    )
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const begun = (): string[] => ledgerOf(server.dir).filter((entry) => entry.startsWith('begin'))
  const ended = (): string[] => ledgerOf(server.dir).filter((entry) => entry.startsWith('end'))

  test('in series starts by priority, one after another, and stops in reverse', async () => {
    const web = server.define({ group: 'web' })
    const action = lendAct(server.dir)
    expect(await see(web)).toMatchObject({ state: 'stopped', live: 'no' })
    expect(await supervisord.start(web, action)).toMatchObject({ accepted: true })
    expect(action.lines).toEqual(['start web:first: done', 'start web:second: done', 'start web:third: done'])
    expect(await see(web)).toMatchObject({ state: 'running', live: 'yes' })
    await until('all to have begun', () => begun().length === 3)
    expect(await supervisord.stop(web, lendAct(server.dir))).toMatchObject({ accepted: true })
    expect(await see(web)).toMatchObject({ state: 'stopped', live: 'no' })
    expect(ended()).toEqual(['end third', 'end second', 'end first'])
    expect(pidOf(server.dir, 'outside')).toBeUndefined()
  })

  test('together is stopped without one waiting for another', async () => {
    const web = server.define({ group: 'web', together: true })
    expect(await supervisord.start(web, lendAct(server.dir))).toMatchObject({ accepted: true })
    await until('all to have begun', () => begun().length === 3)
    expect(await supervisord.stop(web, lendAct(server.dir))).toMatchObject({ accepted: true })
    expect(await see(web)).toMatchObject({ state: 'stopped', live: 'no' })
    // The slow one would hold up `first` in series.
    expect(ended().at(-1)).toBe('end second')
  })

  test('that runs in part has failed, is live, and says which program is where', async () => {
    await supervisord.start(server.define({ program: 'web:first' }), lendAct(server.dir))
    expect(await see(server.define({ group: 'web' }))).toMatchObject({
      state: 'failed',
      live: 'yes',
      detail: '1 of 3 running: web:first RUNNING, web:second STOPPED, web:third STOPPED',
    })
  })

  test('with one that is being stopped is being stopped', async () => {
    const web = server.define({ group: 'web' })
    await supervisord.start(web, lendAct(server.dir))
    const stopping = supervisord.stop(web, lendAct(server.dir))
    await until('the group to be stopping', async () => (await see(web)).state === 'stopping')
    await stopping
  })

  test('can be completed after it was started in part', async () => {
    const web = server.define({ group: 'web' })
    await supervisord.start(server.define({ program: 'web:second' }), lendAct(server.dir))
    const attempt = await supervisord.start(web, lendAct(server.dir))
    expect(attempt.accepted).toBe(true)
    expect(attempt.detail).toContain('web:second: it was started already')
    expect(await see(web)).toMatchObject({ state: 'running', live: 'yes' })
  })

  test('that is not known is missing', async () => {
    const nonesuch = server.define({ group: 'nonesuch' })
    expect(await see(nonesuch)).toMatchObject({ state: 'missing', live: 'unknown' })
    expect(await supervisord.start(nonesuch, lendAct(server.dir))).toMatchObject({ accepted: false })
    const together = server.define({ group: 'nonesuch', together: true })
    expect(await supervisord.stop(together, lendAct(server.dir))).toMatchObject({ accepted: false })
  })
})

/**
 * supervisord may notice only in its next turn, a second later, that a program has ended: with a shorter time the
 * program would then seem to have run for long enough, and be EXITED.
 */
const longStart = 'startsecs=20'

describe('a program', () => {
  test('that ends at once is FATAL, and its start is not accepted', async () => {
    await using server = await startSupervisord([
      { name: 'quick', command: '/bin/false', options: [longStart, 'startretries=0'] },
    ])
    const definition = server.define({ program: 'quick' })
    const attempt = await supervisord.start(definition, lendAct(server.dir))
    expect(attempt.accepted).toBe(false)
    expect(attempt.detail).toContain('it cannot be spawned, or ended at once')
    await until('FATAL', async () => (await see(definition)).detail.startsWith('FATAL'))
    expect(await see(definition)).toMatchObject({ state: 'failed', live: 'no' })
  })

  test('that supervisord tries again and again is starting, and live', async () => {
    await using server = await startSupervisord([
      { name: 'quick', command: '/bin/false', options: [longStart, 'startretries=100'] },
    ])
    const definition = server.define({ program: 'quick' })
    await supervisord.start(definition, lendAct(server.dir))
    const bound = { timeoutMs: 30_000 }
    await until('BACKOFF', async () => (await see(definition)).detail.startsWith('BACKOFF'), bound)
    expect(await see(definition)).toMatchObject({ state: 'starting', live: 'yes' })
    expect(await supervisord.stop(definition, lendAct(server.dir))).toMatchObject({ accepted: true })
    expect(await see(definition)).toMatchObject({ state: 'stopped', live: 'no' })
  })

  test('that has just exited may be started again, and is not stopped before that is out of the question', async () => {
    await using server = await startSupervisord([{ name: 'task', command: '/bin/sleep 0.2' }])
    const definition = server.define({ program: 'task' })
    await supervisord.start(definition, lendAct(server.dir))
    const first = await until('EXITED', async () => {
      const seen = await see(definition)
      return seen.detail.startsWith('EXITED') ? seen : undefined
    })
    expect(first.live).toBe('unknown')
    await until('the proof', async () => (await see(definition)).live === 'no')
    expect(await see(definition)).toMatchObject({ state: 'stopped', live: 'no' })
  })

  test('that is revived by autorestart is never seen stopped', async () => {
    await using server = await startSupervisord([{ name: 'phoenix', options: ['autorestart=true'] }])
    const definition = server.define({ program: 'phoenix' })
    await supervisord.start(definition, lendAct(server.dir))
    const pid = await until('the daemon', () => pidOf(server.dir, 'phoenix'))
    process.kill(pid, 'SIGKILL')
    await until('the next daemon', async () => {
      expect((await see(definition)).live).not.toBe('no')
      const next = pidOf(server.dir, 'phoenix')
      return next !== undefined && next !== pid
    })
  })

  test('whose file does not exist is refused in words', async () => {
    await using server = await startSupervisord([{ name: 'ghost', command: '/nonexistent/ghost' }])
    const attempt = await supervisord.start(server.define({ program: 'ghost' }), lendAct(server.dir))
    expect(attempt.accepted).toBe(false)
    expect(attempt.detail).toContain('the program file does not exist')
  })
})

describe('supervisord itself', () => {
  test('when it is killed, its programs are unknown, not stopped', async () => {
    await using server = await startSupervisord([{ name: 'orphan' }])
    const definition = server.define({ program: 'orphan' })
    await supervisord.start(definition, lendAct(server.dir))
    await until('the daemon', () => pidOf(server.dir, 'orphan'))
    await server.kill()
    const seen = await see(definition)
    expect(seen).toMatchObject({ state: 'unknown', live: 'unknown' })
    expect(seen.detail).toContain('ECONNREFUSED')
    expect(seen.detail).toContain('[unix_http_server]')
    expect(pidOf(server.dir, 'orphan')).toBeDefined()
    const attempt = await supervisord.stop(definition, lendAct(server.dir))
    expect(attempt).toMatchObject({ accepted: false })
  })

  test('is asked over http with a password, and says no to a wrong one', async () => {
    await using server = await startSupervisord([{ name: 'plain' }])
    const over = (password: string): SupervisordDefinition => ({
      ...server.define({ program: 'plain' }),
      socket: `http://127.0.0.1:${server.port}`,
      username: 'filo',
      password,
    })
    expect(await see(over('s3<cret&'))).toMatchObject({ state: 'stopped', live: 'no' })
    const refused = await see(over('wrong'))
    expect(refused).toMatchObject({ state: 'unknown', live: 'unknown' })
    expect(refused.detail).toContain('HTTP 401')
    expect(refused.detail).not.toContain('wrong')
    // One that answers does not lend its answer to one that does not.
    const both = await supervisord.observe([over('wrong'), over('s3<cret&')], never)
    expect(both.map(({ state }) => state)).toEqual(['unknown', 'stopped'])
  })

  test.each([
    ['something else', 'text/plain', 'hello', 'does not answer in XML-RPC'],
    [
      'another form',
      'text/xml',
      '<methodResponse><params><param><value>1</value></param></params></methodResponse>',
      'form that is not known',
    ],
    ['a flood', 'text/xml', 'x'.repeat(9 * 1024 * 1024), 'more than 8388608 bytes'],
  ])('that answers with %s is not believed', async (_, type, body, words) => {
    const server = createServer((request, response) => {
      request.resume()
      response.setHeader('content-type', type).end(body)
    })
    using dir = tempDir()
    const socket = join(dir.path, 's.sock')
    await new Promise<void>((resolve) => server.listen(socket, resolve))
    try {
      const seen = await see(SupervisordDefinition.parse({ kind: 'supervisord', program: 'a', socket }))
      expect(seen).toMatchObject({ state: 'unknown', live: 'unknown' })
      expect(seen.detail).toContain(words)
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test('understands names that mean something in XML', async () => {
    await using server = await startSupervisord([])
    await expect(call(server, 'supervisor.getProcessInfo', ['<a>&"b"'], never)).rejects.toThrow(
      'BAD_NAME: <a>&"b"',
    )
  })
})
