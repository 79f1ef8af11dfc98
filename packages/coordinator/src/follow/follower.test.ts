import {
  AuditLog,
  auditTables,
  Database,
  systemClock,
  type AuditDraft,
  type AuditEvent,
  type Clock,
} from '@filo/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../../../test/support/until.ts'
import type { Recalled } from '../engine/link.ts'
import { Follower } from './follower.ts'
import { Keeper } from './keeper.ts'
import { Places } from './places.ts'

const source = '/agents/mail1'

/** Twenty times as fast. */
const quick: Clock = {
  ...systemClock,
  now: () => performance.now() * 20,
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
}

interface Written {
  readonly subject?: string
  readonly name?: string
  /** Whose end this chain keeps. */
  readonly heard?: AuditLog
}

function chainOf(
  count: number,
  { subject = 'x', name = source, heard }: Written = {},
): { log: AuditLog; events: AuditEvent[] } {
  const db = Database.open(':memory:', { schema: { tables: auditTables } })
  onTestFinished(() => db[Symbol.dispose]())
  const log = new AuditLog(db, name, systemClock)
  if (heard !== undefined) log.hear({ source: heard.source, ...heard.head() })
  const data = { run: 'r20260101-000000-test', operator: 'x', outcome: 'success' } as const
  const drafts = Array.from(
    { length: count },
    () => ({ type: 'filo.claim.released', subject, data }) as const,
  )
  return { log, events: db.transaction(() => log.append(drafts)) }
}

/** A consumer whose source is asked through `recall`, and that fails to keep where `isFull`. */
async function follow(
  recall: (after: number, through: number) => Recalled | Promise<Recalled>,
  { places = Places.open(':memory:'), wants = () => true, head = 0, clock = quick }: Partial<Options> = {},
) {
  const kept: AuditEvent[] = []
  const acknowledged: number[] = []
  const said: string[] = []
  const noted: AuditDraft[] = []
  const sink = { keep: async (event: AuditEvent) => void kept.push(event), async [Symbol.asyncDispose]() {} }
  const keeper = new Keeper(places, sink, wants, () => {})
  const asked: [after: number, through: number][] = []
  const follower = await Follower.open({
    consumer: 'siem',
    operator: 'alice@admin1',
    places,
    keeper,
    clock,
    say: (words) => said.push(words),
    note: (draft) => noted.push(draft),
    sources: {
      names: [source],
      own: undefined,
      recall: async (_, after, through) => {
        asked.push([after, through])
        return await recall(after, through)
      },
      head: async () => ({ sequence: head, hash: '0'.repeat(64) }),
      close: async () => {},
    },
  })
  onTestFinished(() => follower[Symbol.asyncDispose]())
  return {
    follower,
    kept,
    acknowledged,
    said,
    noted,
    asked,
    deliver(...events: readonly AuditEvent[]) {
      for (const event of events)
        follower.take({ event, acknowledge: () => void acknowledged.push(event.sequence) })
    },
    numbers: () => kept.map(({ sequence }) => sequence),
  }
}

interface Options {
  readonly places: Places
  readonly wants: (event: AuditEvent) => boolean
  readonly head: number
  readonly clock: Clock
}

const silent = (): Recalled => ({ kind: 'silent', reason: 'no answer from mail1 within 5 s' })

test('what the broker did not deliver is asked for from its source, and stands before what comes after it', async () => {
  const { log, events } = chainOf(300)
  const consumer = await follow(
    (after, through) => ({ kind: 'entries', entries: log.between({ after, through }) }),
    // Of an answer that comes it is of no account how long the others may take.
    { clock: systemClock },
  )
  consumer.deliver(events[0]!, events[299]!)
  await until('all to be acknowledged', () => consumer.acknowledged.length === 2)
  expect(consumer.kept).toEqual(events)
  expect(consumer.asked.length, 'a question for each page').toBeGreaterThan(2)
  expect(consumer.acknowledged).toEqual([1, 300])
  expect(consumer.noted).toEqual([])
})

test('a new consumer misses what its sources write before their first event arrives, and nothing from before', async () => {
  const { log, events } = chainOf(5)
  const places = Places.open(':memory:')
  const recall = (after: number, through: number): Recalled => ({
    kind: 'entries',
    entries: log.between({ after, through }),
  })
  const consumer = await follow(recall, { places })
  consumer.deliver(events[2]!)
  await until('it to be acknowledged', () => consumer.acknowledged.length === 1)
  expect(consumer.numbers()).toEqual([1, 2, 3])
  await consumer.follower.drain()
  const later = await follow(recall, { places, head: 4 })
  later.deliver(events[4]!)
  await until('it to be acknowledged', () => later.acknowledged.length === 1)
  expect(later.numbers(), 'its place is where it ended').toEqual([4, 5])
})

test('a source that is silent holds up nobody: the gap is told, and filled later', async () => {
  const { log, events } = chainOf(9)
  let isSilent = true
  const consumer = await follow((after, through) =>
    isSilent ? silent() : { kind: 'entries', entries: log.between({ after, through }) },
  )
  consumer.deliver(events[0]!, events[4]!, events[5]!)
  await until('what came after the gap to be kept', () => consumer.acknowledged.length === 3)
  expect(consumer.numbers()).toEqual([1, 5, 6])
  expect(consumer.said).toEqual([
    'numbers 2 to 4 of /agents/mail1 are missing: no answer from mail1 within 5 s; it is asked again later',
  ])
  const missing = { consumer: 'siem', operator: 'alice@admin1', source, first: 2, last: 4 }
  const reason = 'no answer from mail1 within 5 s'
  expect(consumer.noted).toEqual([
    { type: 'filo.trail.missing', subject: 'siem', data: { ...missing, outcome: 'unknown', reason } },
  ])
  isSilent = false
  await until('the gap to be filled', () => consumer.noted.length === 2)
  expect(consumer.numbers()).toEqual([1, 5, 6, 2, 3, 4])
  expect(consumer.noted[1]).toEqual({
    type: 'filo.trail.completed',
    subject: 'siem',
    data: { ...missing, outcome: 'success' },
  })
})

test('a gap is kept in mind by whoever follows next', async () => {
  const { log, events } = chainOf(5)
  const places = Places.open(':memory:')
  const first = await follow(silent, { places })
  first.deliver(events[0]!, events[4]!)
  await until('what came after the gap to be kept', () => first.acknowledged.length === 2)
  await first.follower.drain()
  const next = await follow(
    (after, through) => ({ kind: 'entries', entries: log.between({ after, through }) }),
    { places },
  )
  await until('the gap to be filled', () => next.numbers().length === 3)
  expect(next.numbers()).toEqual([2, 3, 4])
  await until('it to be forgotten', () => places.holes().length === 0)
})

test('other entries than those that are missing are not taken for them', async () => {
  const { events } = chainOf(5)
  const { log: anew } = chainOf(5, { subject: 'told anew' })
  const consumer = await follow((after, through) => ({
    kind: 'entries',
    entries: anew.between({ after, through }),
  }))
  consumer.deliver(events[0]!, events[3]!)
  await until('what came to be kept', () => consumer.acknowledged.length === 2)
  expect(consumer.kept).toEqual([events[0], events[3]])
  expect(consumer.said).toEqual([
    'numbers 2 to 3 of /agents/mail1 are missing: /agents/mail1 has another number 2 now',
  ])
})

test('an event that its source never wrote is handed on, and hides nothing of what the source writes', async () => {
  const { log, events } = chainOf(3)
  const { events: forged } = chainOf(1000, { subject: 'forged' })
  const consumer = await follow((after, through) => ({
    kind: 'entries',
    entries: log.between({ after, through }),
  }))
  consumer.deliver(events[0]!, forged[999]!, { ...events[1]!, subject: 'changed' }, events[2]!)
  await until('all to be kept', () => consumer.acknowledged.length === 4)
  expect(consumer.kept.filter((event) => events.includes(event) || event.subject === 'x')).toEqual(events)
})

test('an end that was told to others and never came is asked for', async () => {
  const { log, events } = chainOf(4)
  const { events: teller } = chainOf(1, { name: '/coordinators/one', heard: log })
  const consumer = await follow((after, through) => ({
    kind: 'entries',
    entries: log.between({ after, through }),
  }))
  consumer.deliver(events[0]!, teller[0]!)
  await until('the end to be kept', () => consumer.numbers().length === 5)
  expect(consumer.kept).toEqual([events[0], teller[0], ...events.slice(1)])
})

test('what is delivered twice is kept once, and a chain that begins anew is followed from its beginning', async () => {
  const { log, events } = chainOf(3)
  const { log: anew, events: fresh } = chainOf(4, { subject: 'anew' })
  let current = log
  const consumer = await follow((after, through) => ({
    kind: 'entries',
    entries: current.between({ after, through }),
  }))
  consumer.deliver(...events, ...events)
  await until('all to be acknowledged', () => consumer.acknowledged.length === 6)
  expect(consumer.kept).toEqual(events)
  current = anew
  consumer.deliver(fresh[0]!, fresh[3]!)
  await until('the new chain to be kept', () => consumer.kept.length === 7)
  expect(consumer.kept.slice(3)).toEqual(fresh)
})

test('what a consumer does not want makes no gap', async () => {
  const { events } = chainOf(6)
  const consumer = await follow(silent, { wants: ({ sequence }) => sequence % 3 === 0 })
  consumer.deliver(...events)
  await until('all to be acknowledged', () => consumer.acknowledged.length === 6)
  expect(consumer.numbers()).toEqual([3, 6])
  expect(consumer.said).toEqual([])
})
