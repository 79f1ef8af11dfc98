import { expect, test } from 'vitest'
import type { AuditDraft } from './audit-data.ts'
import { AuditLog, auditTables } from './audit-log.ts'
import { systemClock } from './clock.ts'
import { Database } from './database.ts'
import { limits } from './limits.ts'
import { aDraft as draft, faultsIn } from './testing-audit.ts'

const source = '/agents/mail1'

function within<T>({ sql }: Database, body: () => T, end: 'commit' | 'rollback' = 'commit'): T {
  sql.exec('begin immediate')
  const value = body()
  sql.exec(end)
  return value
}

function openLog(): { db: Database; log: AuditLog } & Disposable {
  const db = Database.open(':memory:', { schema: { tables: auditTables } })
  return { db, log: new AuditLog(db, source, systemClock), [Symbol.dispose]: () => db[Symbol.dispose]() }
}

test('events are numbered from 1 without a gap and each holds the hash of the one before', () => {
  using opened = openLog()
  const { db, log } = opened
  const first = within(db, () => log.append([draft('mta@mail1'), draft('mta@mail1')]))
  const second = within(db, () => log.append([draft('db@mail1')]))
  const events = [...first, ...second]
  expect(events.map((event) => event.sequence)).toEqual([1, 2, 3])
  expect(events.map((event) => event.previoushash)).toEqual([
    '0'.repeat(64),
    events[0]?.hash,
    events[1]?.hash,
  ])
  expect(log.head()).toEqual({ sequence: 3, hash: events[2]?.hash })
  expect(faultsIn(events)).toEqual([])
})

test('an event of a transaction that is rolled back leaves no trace and no gap', () => {
  using opened = openLog()
  const { db, log } = opened
  within(db, () => log.append([draft('a')]))
  within(db, () => log.append([draft('b')]), 'rollback')
  expect(log.head().sequence).toBe(1)
  const [next] = within(db, () => log.append([draft('c')]))
  expect(next?.sequence).toBe(2)
  expect(log.unrelayed(10).map((event) => event.subject)).toEqual(['a', 'c'])
})

test('an event outside a transaction is refused', () => {
  using opened = openLog()
  expect(() => opened.log.append([draft('a')])).toThrow('outside the transaction')
})

test('an event that no consumer would accept is refused when it is appended', () => {
  using opened = openLog()
  const { db, log } = opened
  const huge = { ...draft('a'), data: { output: 'x'.repeat(70_000) } } as unknown as AuditDraft
  expect(() => within(db, () => log.append([huge]))).toThrow('over the limit')
  db.sql.exec('rollback')
  expect(() =>
    within(db, () => log.append([{ ...draft('a'), type: 'Not A Type' } as unknown as AuditDraft])),
  ).toThrow('type')
})

test('what was appended is unrelayed until it is marked, in order', () => {
  using opened = openLog()
  const { db, log } = opened
  within(db, () => log.append(['a', 'b', 'c'].map((subject) => draft(subject))))
  expect(log.unrelayed(2).map((event) => event.sequence)).toEqual([1, 2])
  log.markRelayed(2)
  log.markRelayed(1) // a slower relay beside this one takes nothing back
  expect(log.unrelayed(10).map((event) => event.sequence)).toEqual([3])
})

test('nothing is given to a relay while its transaction may still be rolled back', () => {
  using opened = openLog()
  const { db, log } = opened
  const seen = within(db, () => {
    log.append([draft('a')])
    return log.unrelayed(10)
  })
  expect(seen).toEqual([])
  expect(log.unrelayed(10)).toHaveLength(1)
})

test('two sources in one database have a chain each', () => {
  using opened = openLog()
  const { db, log } = opened
  const other = new AuditLog(db, '/agents/web1', systemClock)
  within(db, () => [log.append([draft('a')]), other.append([draft('b')])])
  expect([log.head().sequence, other.head().sequence]).toEqual([1, 1])
  log.markRelayed(1)
  expect(other.unrelayed(10)).toHaveLength(1)
})

test('the end of another chain is kept by the next event that is committed, and by no other', () => {
  using opened = openLog()
  const { db, log } = opened
  const heard = { source: '/coordinators/one', sequence: 7, hash: 'a'.repeat(64) }
  log.hear(heard)
  within(db, () => log.append([draft('a')]), 'rollback')
  expect(log.hasHeard).toBe(true)
  const [first, second] = within(db, () => log.append([draft('b'), draft('c')]))
  expect(first?.data.heads).toEqual([heard])
  expect(second?.data.heads).toBeUndefined()
  expect(log.hasHeard).toBe(false)
  log.hear({ ...heard, sequence: 6 }) // a message that was overtaken
  expect(log.hasHeard).toBe(false)
})

test('more ends than an event may keep are kept by those after it', () => {
  using opened = openLog()
  const { db, log } = opened
  const hosts = limits.headsPerEvent + 1
  for (let host = 1; host <= hosts; host += 1) {
    log.hear({ source: `/agents/h${host}`, sequence: 1, hash: 'a'.repeat(64) })
  }
  const [first, second] = within(db, () => log.append([draft('a'), draft('b')]))
  expect([first?.data.heads?.length, second?.data.heads?.length]).toEqual([limits.headsPerEvent, 1])
})
