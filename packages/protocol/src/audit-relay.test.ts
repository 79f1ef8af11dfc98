import { expect, test } from 'vitest'
import { aDraft } from './testing-audit.ts'
import { until } from '../../../test/support/until.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog, auditTables } from './audit-log.ts'
import { Relay } from './audit-relay.ts'
import { systemClock, type Clock } from './clock.ts'
import { Database } from './database.ts'
import { Ambiguous } from './errors.ts'
import { MemoryBroker } from './memory.ts'
import type { Transport } from './transport.ts'

/** A log with a relay running, over a transport whose `publish` is the test's. */
function startRelay(
  publish: (event: AuditEvent) => Promise<void>,
  sleep: Clock['sleep'] = (ms, signal) => systemClock.sleep(ms / 100, signal),
): {
  append(count: number): void
  log: AuditLog
  relay: Relay
  /** Has the database refuse to be written, as a full disk does. */
  fill(isFull: boolean): void
} & AsyncDisposable {
  const db = Database.open(':memory:', { schema: { tables: auditTables } })
  const log = new AuditLog(db, '/agents/mail1', { ...systemClock, sleep })
  const transport: Transport = Object.assign(new MemoryBroker().connect(), { publish })
  const relay = new Relay(log, transport)
  return {
    log,
    relay,
    fill(isFull) {
      db.sql.exec(`pragma query_only = ${isFull ? 'on' : 'off'}`)
    },
    append(count) {
      const drafts = Array.from({ length: count }, () => aDraft())
      db.transaction(() => log.append(drafts))
    },
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]()
      db[Symbol.dispose]()
    },
  }
}

test('what was appended before and after the relay began is published in order, once', async () => {
  const published: number[] = []
  await using started = startRelay(async (event) => void published.push(event.sequence))
  started.append(300)
  await until('300 events', () => published.length === 300)
  started.append(1)
  await until('all to be marked', () => started.log.unrelayed(1).length === 0)
  expect(published).toEqual(Array.from({ length: 301 }, (_, index) => index + 1))
})

test('an event that is not confirmed is published again, and so is what came after it', async () => {
  const published: number[] = []
  let failures = 3
  await using started = startRelay(async (event) => {
    published.push(event.sequence)
    if (event.sequence === 2 && failures-- > 0) throw new Ambiguous('the broker went away')
  })
  started.append(3)
  await until('all to be marked', () => started.log.unrelayed(1).length === 0)
  expect(published).toEqual([1, 2, 3, 2, 3, 2, 3, 2, 3])
})

test('a disk that takes nothing only delays the relay', async () => {
  const published: number[] = []
  await using started = startRelay(async (event) => void published.push(event.sequence))
  started.append(1)
  started.fill(true)
  await until('it to be published again', () => published.length > 2)
  started.fill(false)
  await until('all to be marked', () => started.log.unrelayed(1).length === 0)
})

test('a relay that is aborted while the broker is away ends without an error', async () => {
  const tried = Promise.withResolvers<void>()
  const started = startRelay(async () => {
    tried.resolve()
    throw new Ambiguous('the broker is away')
  })
  started.append(1)
  await tried.promise
  await expect(started[Symbol.asyncDispose]()).resolves.toBeUndefined()
})

test('a relay that is drained publishes what is left without waiting for more, and ends', async () => {
  const published: number[] = []
  const never: Clock['sleep'] = (_ms, signal) => systemClock.sleep(2 ** 31 - 1, signal)
  await using started = startRelay(async (event) => void published.push(event.sequence), never)
  started.append(3)
  await started.relay.drain(10_000)
  expect(published).toEqual([1, 2, 3])
  started.append(1)
  expect(started.log.unrelayed(1)).toHaveLength(1)
})

test('a drained relay gives up in time while the broker is away', async () => {
  await using started = startRelay(async () => {
    throw new Ambiguous('the broker is away')
  })
  started.append(1)
  await expect(started.relay.drain(1000)).resolves.toBeUndefined()
  expect(started.log.unrelayed(1)).toHaveLength(1)
})
