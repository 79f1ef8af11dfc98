import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { until } from '../../../test/support/until.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog } from './audit-log.ts'
import { relay } from './audit-relay.ts'
import { systemClock, type Clock } from './clock.ts'
import { Ambiguous } from './errors.ts'
import { MemoryBroker } from './memory.ts'
import type { Transport } from './transport.ts'

/** A log with a relay running, over a transport whose `publish` is the test's. */
function startRelay(publish: (event: AuditEvent) => Promise<void>): {
  append(count: number): void
  log: AuditLog
  /** Has the database refuse to be written, as a full disk does. */
  fill(isFull: boolean): void
} & AsyncDisposable {
  const db = new DatabaseSync(':memory:')
  const hasty: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) }
  const log = new AuditLog(db, '/agents/mail1', hasty)
  const stop = new AbortController()
  const transport: Transport = Object.assign(new MemoryBroker().connect(), { publish })
  const running = relay(log, transport, stop.signal)
  return {
    log,
    fill(isFull) {
      db.exec(`pragma query_only = ${isFull ? 'on' : 'off'}`)
    },
    append(count) {
      db.exec('begin immediate')
      log.append(Array.from({ length: count }, () => ({ type: 'filo.x', subject: 'x', data: {} })))
      db.exec('commit')
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      db.close()
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
