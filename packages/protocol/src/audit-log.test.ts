import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import type { AuditDraft, AuditEvent } from './audit-event.ts'
import { AuditLog, verifyChain } from './audit-log.ts'
import { systemClock } from './clock.ts'
import { digest } from './digest.ts'

const source = '/agents/mail1'

function draft(subject: string): AuditDraft {
  return { type: 'filo.action.finished', subject, data: { outcome: 'success' } }
}

function within<T>(db: DatabaseSync, body: () => T, end: 'commit' | 'rollback' = 'commit'): T {
  db.exec('begin immediate')
  const value = body()
  db.exec(end)
  return value
}

function openLog(): { db: DatabaseSync; log: AuditLog } & Disposable {
  const db = new DatabaseSync(':memory:')
  return { db, log: new AuditLog(db, source, systemClock), [Symbol.dispose]: () => db.close() }
}

function threeEvents(): AuditEvent[] {
  using opened = openLog()
  return within(opened.db, () => opened.log.append(['mta@mail1', 'web@web1', 'db@db1'].map(draft)))
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
  expect(verifyChain(events)).toEqual({ kind: 'intact', head: log.head() })
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
  const huge = { ...draft('a'), data: { output: 'x'.repeat(70_000) } }
  expect(() => within(db, () => log.append([huge]))).toThrow('over the limit')
  db.exec('rollback')
  expect(() => within(db, () => log.append([{ ...draft('a'), type: 'Not A Type' }]))).toThrow('type')
})

test('what was appended is unrelayed until it is marked, in order', () => {
  using opened = openLog()
  const { db, log } = opened
  within(db, () => log.append(['a', 'b', 'c'].map(draft)))
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

test('a chain goes on from a head that was kept', () => {
  const [first, ...rest] = threeEvents()
  const kept = { sequence: 1, hash: first?.hash ?? '' }
  expect(verifyChain(rest, kept).kind).toBe('intact')
  expect(verifyChain(rest, { sequence: 1, hash: 'f'.repeat(64) })).toMatchObject({ sequence: 2 })
})

test('a tampered chain is broken at the event that was tampered with', () => {
  const [a, b, c] = threeEvents() as [AuditEvent, AuditEvent, AuditEvent]
  const forged = { ...b, data: { outcome: 'failure' as const } }
  const { hash: _, ...unhashed } = forged
  const rehashed = { ...unhashed, hash: digest(unhashed) }
  const verdicts = {
    changed: verifyChain([a, forged, c]),
    rehashed: verifyChain([a, rehashed, c]),
    dropped: verifyChain([a, c]),
    swapped: verifyChain([b, a, c]),
    repeated: verifyChain([a, a, b]),
    foreign: verifyChain([a, { ...b, source: '/agents/web1' }]),
  }
  expect(verdicts).toMatchInlineSnapshot(`
    {
      "changed": {
        "kind": "broken",
        "sequence": 2,
        "why": "is not what was hashed",
      },
      "dropped": {
        "kind": "broken",
        "sequence": 2,
        "why": "is missing: number 3 stands in its place",
      },
      "foreign": {
        "kind": "broken",
        "sequence": 2,
        "why": "is from /agents/web1, not from /agents/mail1",
      },
      "rehashed": {
        "kind": "broken",
        "sequence": 3,
        "why": "does not follow the event before it",
      },
      "repeated": {
        "kind": "broken",
        "sequence": 2,
        "why": "is missing: number 1 stands in its place",
      },
      "swapped": {
        "kind": "broken",
        "sequence": 1,
        "why": "is missing: number 2 stands in its place",
      },
    }
  `)
})
