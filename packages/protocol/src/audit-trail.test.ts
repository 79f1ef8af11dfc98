import canonicalize from 'canonicalize'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AuditEvent } from './audit-event.ts'
import { AuditLog, auditTables } from './audit-log.ts'
import { AuditTrail, type Allowance, type AuditDocument } from './audit-trail.ts'
import { systemClock } from './clock.ts'
import { Database } from './database.ts'
import { canonicalJson } from './stored-entry.ts'
import { aDraft } from './testing-audit.ts'

const source = '/agents/mail1'

function eventsOf(count: number, name = source, heard?: AuditEvent, subject = 'x'): AuditEvent[] {
  using db = Database.open(':memory:', { schema: { tables: auditTables } })
  const log = new AuditLog(db, name, systemClock)
  if (heard !== undefined) log.hear({ source: heard.source, sequence: heard.sequence, hash: heard.hash })
  const draft = aDraft(subject)
  return db.transaction(() => log.append(Array.from({ length: count }, () => draft)))
}

function document(name: string, kind: AuditDocument['kind'], events: readonly AuditEvent[]): AuditDocument {
  const entries = events.map((event, at) => ({ place: `line ${at + 1}`, text: JSON.stringify(event) }))
  return { name, kind, entries }
}

/** What is wrong, in words. */
function verify(documents: readonly AuditDocument[], allowed: readonly Allowance[] = []): string[] {
  const trail = new AuditTrail(allowed)
  for (const each of documents) trail.take(each)
  return trail.conclude().faults.map(({ document: name, sequence, why }) => `${name} ${sequence}: ${why}`)
}

test('canonical JSON is that of the library that the writer uses', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      expect(canonicalJson(value)).toBe(canonicalize(value))
    }),
  )
})

test('files that a consumer has rotated are one, in whatever order they are given', () => {
  const events = eventsOf(9)
  const files = [events.slice(6), events.slice(0, 4), events.slice(4, 6)]
  const documents = files.map((part, at) => document(`file ${at}`, 'copy', part))
  expect(verify(documents)).toEqual([])
  expect(verify(documents.slice(0, 2))).toEqual([
    'file 0 1: is missing: number 7 stands where numbers 1 to 6 should',
    'file 1 5: is missing: number 9 is in file 0. The end was cut off, or has not been delivered yet',
  ])
})

test('what came again in the next file is a fault unless that is allowed, and no excuse for what is missing', () => {
  const events = eventsOf(9)
  const files = (...ranges: readonly [from: number, to: number][]): AuditDocument[] =>
    ranges.map(([from, to], at) => document(`file ${at}`, 'copy', events.slice(from - 1, to)))
  const rotated = files([1, 3], [4, 6], [5, 6], [7, 9])
  expect(verify(rotated)).toEqual(['file 2 1: is missing: number 5 stands where numbers 1 to 4 should'])
  expect(verify(rotated, ['repeats'])).toEqual([])
  expect(verify(files([4, 6], [4, 6], [7, 9]), ['repeats'])).toEqual([
    'file 0 1: is missing: number 4 stands where numbers 1 to 3 should',
  ])
  expect(verify([...files([1, 6], [4, 6]), document('journal', 'chain', events)], ['repeats'])).toEqual([
    'file 0 7: is missing: number 9 is in journal. The end was cut off, or has not been delivered yet',
  ])
})

test('a chain that ends before an end that was told to another source has lost its end', () => {
  const events = eventsOf(5)
  const other = eventsOf(2, '/coordinators/one', events[4])
  const documents = (kept: number): AuditDocument[] => [
    document('ledger', 'chain', events.slice(0, kept)),
    document('journal', 'chain', other),
  ]
  expect(verify(documents(5))).toEqual([])
  expect(verify(documents(3))).toEqual([
    'ledger 4: is missing: number 5 was told to /coordinators/one at its number 1 (journal, line 1). ' +
      'The end was cut off; what is left may be written anew',
  ])
  expect(verify(documents(0))).toEqual([
    'ledger 1: is missing: it was told to /coordinators/one at its number 1 (journal, line 1), and there is nothing of it here',
  ])
})

test('a chain with another end than was told to another source was written anew', () => {
  const other = eventsOf(1, '/coordinators/one', eventsOf(5)[4])
  const anew = eventsOf(6, source, undefined, 'told anew')
  const [fault] = verify([document('ledger', 'chain', anew), document('journal', 'chain', other)])
  expect(fault).toMatch(/^ledger 5: is not the one that was told to \/coordinators\/one at its number 1/)
})

test('entries that came late are verified in the order of their numbers, over all files of their consumer', () => {
  const events = eventsOf(9)
  const pick = (...numbers: number[]): AuditEvent[] => numbers.map((number) => events[number - 1]!)
  const files = (older: AuditEvent[], newer: AuditEvent[]): AuditDocument[] => [
    document('newer', 'copy', newer),
    document('older', 'copy', older),
  ]
  expect(verify(files(pick(1, 2, 6, 7), pick(3, 4, 5)), ['late'])).toEqual([])
  expect(verify(files(pick(1, 2, 6), pick(3, 7, 4, 5, 8, 9)), ['late'])).toEqual([])
  expect(verify(files(pick(1, 2, 6), pick(3, 7, 5, 8, 9)), ['late'])).toEqual([
    'newer 4: is missing: there is nothing between number 3 and number 5',
  ])
  const anew = eventsOf(9, source, undefined, 'told anew')
  expect(verify(files([...pick(1, 2, 6), anew[2]!], pick(7, 4, 5, 8, 9)), ['late'])).toEqual([
    'older 3: does not follow number 2 (older, line 2)',
    'newer 4: does not follow number 3 (older, line 4)',
  ])
})

test('what is missing is explained by what the coordinator has told of it', () => {
  const events = eventsOf(6)
  using db = Database.open(':memory:', { schema: { tables: auditTables } })
  const log = new AuditLog(db, '/coordinators/one', systemClock)
  const lack = { source, first: 3, last: 4, consumer: 'siem', operator: 'x', outcome: 'unknown' } as const
  const told = db.transaction(() =>
    log.append([
      { type: 'filo.trail.missing', subject: 'siem', data: { ...lack, reason: 'mail1 is silent' } },
    ]),
  )
  const file = document('file', 'copy', [...events.slice(0, 2), ...events.slice(4), ...told])
  expect(verify([file])).toEqual([
    'file 3: is missing: number 5 stands where numbers 3 to 4 should. ' +
      'It was told to be missing by /coordinators/one at its number 1: mail1 is silent',
  ])
})

test('what a consumer may do by right is a fault unless it is allowed', () => {
  const events = eventsOf(6)
  const [a, b, c, d, e, f] = events as [
    AuditEvent,
    AuditEvent,
    AuditEvent,
    AuditEvent,
    AuditEvent,
    AuditEvent,
  ]
  const cases: Record<Allowance, AuditEvent[]> = {
    beginning: [c, d, e, f],
    gaps: [a, c, f],
    late: [a, e, b, c, f, d],
    repeats: [a, b, c, b, c, d, e, f],
  }
  for (const allowance of ['beginning', 'gaps', 'late', 'repeats'] as const) {
    const file = document('file', 'copy', cases[allowance])
    expect(verify([file]), allowance).toHaveLength(1)
    expect(verify([file], [allowance]), allowance).toEqual([])
    expect(verify([{ ...file, kind: 'chain' }], [allowance]), `a chain with ${allowance}`).toHaveLength(1)
  }
})
