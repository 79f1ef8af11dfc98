import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Fleet } from '../support/fleet.ts'
import { openForFile } from '../support/fleet-of-file.ts'
import { startSupervisord } from '../support/private-supervisord.ts'
import { startBroker } from '../support/broker.ts'
import { until } from '../support/until.ts'
import { BootClock } from './support/clock.ts'

// R3: web and mail both need db. Web is stopped, and proven to be; then, while mail takes its time, something that Filo
// does not know of revives web. Before db is stopped web's proof has grown old, and what is seen instead is drift.

let fleet: Fleet
let clock: BootClock
openForFile(
  startBroker,
  { db: {}, web: { needs: 'db' }, mail: { needs: 'db' } },
  (opened) => ({ fleet } = opened),
)
beforeAll(() => {
  clock = new BootClock(fleet.path, 'coordinator')
})
beforeEach(async () => {
  clock.setAhead(0)
  await fleet.recover()
})

const boundMs = { timeoutMs: 60_000 }

interface Web {
  readonly script: string
  readonly daemon: string
}
/** Something that Filo does not know of. What it gives sets it off; undefined where it goes off by itself. */
type Reviver = (web: Web) => Promise<(() => Promise<void>) | undefined>

/** As socket activation: the first connection starts the service. */
const socket: Reviver = async ({ script }) => {
  const server = createServer((caller) => {
    caller.destroy()
    spawn(script, ['start'], { stdio: 'ignore' })
  })
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return async () => void connect({ port, host: '127.0.0.1' }).on('error', () => {})
}

/** As a job of cron(8) that looks after the service. */
const cron: Reviver = async ({ script }) => {
  const job = `while :; do "${script}" status || "${script}" start; sleep 0.2; done`
  return async () => endWithTest(spawn('/bin/sh', ['-c', job], { stdio: 'ignore' }))
}

const person: Reviver = async () => () => fleet.services.start('web')

/** The service's stop script kills what supervisord starts again, after a while. */
const supervisord: Reviver = async ({ daemon }) => {
  await fleet.services.kill('web')
  const wrapper = join(fleet.path, 'slow-web')
  writeFileSync(wrapper, `#!/bin/sh\n[ -e "$0.once" ] && sleep 3\ntouch "$0.once"\nexec '${daemon}'\n`, {
    mode: 0o755,
  })
  const supervised = await startSupervisord(
    [],
    ['[program:web]', `command=${wrapper}`, 'autorestart=true', 'startsecs=0'],
  )
  onTestFinished(() => supervised[Symbol.asyncDispose]())
  await until('web to be started by supervisord', () => fleet.services.isUp('web'), boundMs)
  fleet.services.forget()
  return undefined
}

function endWithTest(child: ChildProcess): void {
  onTestFinished(async () => {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  })
}

test.each<[string, Reviver]>([
  ['a socket', socket],
  ['a job of cron', cron],
  ['supervisord', supervisord],
  ['a person', person],
])(
  'a service that %s revives after it was proven stopped holds what it needs, and is named',
  async (_, revive) => {
    const { services } = fleet
    const setOff = await revive({ script: services.script('web'), daemon: join(fleet.path, 'web.daemon') })
    services.hold('mail')
    await using stop = fleet.start(['stop', '--yes'], { env: clock.environment })
    await services.untilAsked('mail', 'stop')
    const run = await fleet.newestRun()
    const isProven = async () => /stop web@web-host +changed/.test((await fleet.filo('show', run)).stdout)
    await until('web to be proven stopped', isProven, boundMs)
    await setOff?.()
    await until('web to be revived', () => services.isUp('web'), boundMs)
    // A proof is good for ten seconds: so long may pass between a look and what is done upon it.
    clock.setAhead(11_000)
    services.letGo('mail')
    const ended = await stop.ended
    expect(clock.readers()).toContain(stop.pid)
    expect(ended).toMatchObject({ code: 2 })
    expect(ended.stdout).toMatch(/stop web@web-host drifted: .* seen running/)
    expect(ended.stdout).toContain('holds stop db@db-host')
    expect(services.isUp('db')).toBe(true)
    expect(services.requests()).not.toContain('db stop')
  },
)
