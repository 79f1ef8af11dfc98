import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AuditEvent } from '@filo/protocol'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startBroker, type Broker } from './support/broker.ts'
import { openFleet } from './support/fleet.ts'
import { freePort } from './support/free-port.ts'
import { until } from './support/until.ts'

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

const events = (path: string): AuditEvent[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditEvent)

test('events of one service go to a file, and go on where they left off', async () => {
  await using fleet = await openFleet(broker.url, { db: {}, app: { needs: 'db' } })
  const path = join(fleet.path, 'audit.jsonl')
  const argv = ['audit', 'follow', '--consumer', 'file', '--to', path, '--service', 'app']
  const ended = (): string[] =>
    events(path)
      .filter((event) => event.type === 'filo.action.finished')
      .map((event) => event.subject)
  {
    await using first = fleet.start(argv)
    await first.untilSays(/following as "file"/)
    await fleet.filo('start', '--yes')
    await until('the event of the start', () => ended().length === 1)
    first.signal('SIGKILL')
    await first.ended
  }
  await fleet.filo('stop', '--yes')
  await using second = fleet.start(argv)
  await until('the event of the stop', () => ended().length >= 2)
  second.signal('SIGINT')
  expect(await second.ended).toMatchObject({ code: 0 })
  expect(new Set(events(path).map((event) => event.subject))).toEqual(new Set(['app@app-host']))
})

test('who follows into a webhook that is down can be ended, and what it did not take comes to whoever is next', async () => {
  await using fleet = await openFleet(broker.url, { db: {} })
  const argv = (to: string): string[] => ['audit', 'follow', '--consumer', 'hook', '--to', to]
  await using hook = fleet.start(argv(`http://127.0.0.1:${await freePort()}/`))
  await hook.untilSays(/following as "hook"/)
  await fleet.filo('start', '--yes')
  await hook.untilSays(/takes no events; they wait/)
  hook.signal('SIGINT')
  expect(await hook.ended).toMatchObject({ code: 0 })
  const path = join(fleet.path, 'audit.jsonl')
  await using next = fleet.start(argv(path))
  await next.untilSays(/following as "hook"/)
  const numbers = (): number[] =>
    events(path).flatMap(({ source, sequence }) => (source === '/agents/db-host' ? [sequence] : []))
  await until('all that the agent has written', () => numbers().length >= 4, { timeoutMs: 60_000 })
  expect(numbers().slice(0, 4)).toEqual([1, 2, 3, 4])
})

test('the example of a consumer prints what went wrong, with its reason', async () => {
  await using fleet = await openFleet(broker.url, { db: {} })
  const example = fileURLToPath(new URL('../examples/audit-consumer/consumer.ts', import.meta.url))
  const consumer = spawn(process.execPath, [example, broker.url, 'pager'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void consumer.kill('SIGKILL'))
  let said = ''
  consumer.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()))
  fleet.services.behave('db', { refuses: 'start' })
  await until(
    'what went wrong to be printed',
    async () => {
      await fleet.filo('start', '--yes')
      return said.includes('db@db-host')
    },
    { timeoutMs: 60_000 },
  )
  expect(said).toMatch(/^\S+ db@db-host filo\.action\.finished failure: .+$/m)
})
