import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { AuditEvent, noHead, type AuditDraft, type AuditHead } from './audit-event.ts'
import type { Clock } from './clock.ts'
import { digest } from './digest.ts'
import { limits } from './limits.ts'
import { writeUnsynced } from './unsynced.ts'

// A1. An event stands in the same transaction as the change that it records: both or neither.
// A2. The events of a source have contiguous numbers, and each holds the hash of the one before.
// A3. Nothing is relayed before its transaction is committed, and nothing is forgotten before it was relayed.

/** How long a relay waits before it looks for events that another process has appended. */
const idleMs = 1000

/** The hash-chained log of one source, in its owner's database; the outbox from which `relay` sends. */
export class AuditLog {
  readonly source: string
  readonly clock: Clock
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #head: StatementSync
  readonly #unrelayed: StatementSync
  readonly #relayed: StatementSync
  #appended = Promise.withResolvers<void>()

  /** @param source `/agents/HOST` or `/coordinators/ID`; a database may hold the chains of several. */
  constructor(db: DatabaseSync, source: string, clock: Clock) {
    this.source = source
    this.clock = clock
    this.#db = db
    db.exec(`
      create table if not exists audit_event (
        source text not null, sequence integer not null, hash text not null, event text not null,
        primary key (source, sequence)
      ) strict, without rowid;
      create table if not exists audit_relay (
        source text primary key, sequence integer not null
      ) strict, without rowid;
    `)
    this.#insert = db.prepare('insert into audit_event (source, sequence, hash, event) values (?, ?, ?, ?)')
    this.#head = db.prepare(
      'select sequence, hash from audit_event where source = ? order by sequence desc limit 1',
    )
    this.#unrelayed = db.prepare(`
      select event from audit_event
      where source = ?1
        and sequence > coalesce((select sequence from audit_relay where source = ?1), 0)
      order by sequence limit ?2
    `)
    this.#relayed = db.prepare(`
      insert into audit_relay (source, sequence) values (?, ?)
      on conflict (source) do update set sequence = max(sequence, excluded.sequence)
    `)
  }

  /**
   * Adds events to the chain. Only inside a transaction of the caller's (A1), and an immediate one where other
   * processes append to the same database: the end of the chain must not move while it is read. Throws for a
   * draft that makes no valid event.
   */
  append(drafts: readonly AuditDraft[]): AuditEvent[] {
    if (!this.#db.isTransaction) throw new Error('an audit event outside the transaction that it records')
    let { sequence, hash } = this.head()
    const time = this.clock.wall().toISOString()
    const events = drafts.map((draft) => {
      const event = chain(draft, { source: this.source, time, after: { sequence, hash } })
      const text = JSON.stringify(event)
      // No transport would take it, and the relay would be stuck at it for good.
      if (Buffer.byteLength(text) > limits.messageBytes) {
        throw new RangeError(`an event ${event.type} over the limit of ${limits.messageBytes} bytes`)
      }
      ;({ sequence, hash } = event)
      this.#insert.run(event.source, sequence, hash, text)
      return event
    })
    this.#appended.resolve()
    return events
  }

  /** The end of the chain; number 0 before the first event. */
  head(): AuditHead {
    const row = this.#head.get(this.source)
    if (row === undefined) return noHead
    return { sequence: row['sequence'] as number, hash: row['hash'] as string }
  }

  /** The oldest events that the event log has not confirmed. None while a transaction is open (A3). */
  unrelayed(limit: number): AuditEvent[] {
    if (this.#db.isTransaction) return []
    return this.#unrelayed.all(this.source, limit).map((row) => JSON.parse(row['event'] as string))
  }

  /** Not at once on disk: an event may be relayed twice. */
  markRelayed(throughSequence: number): void {
    writeUnsynced(this.#db, () => this.#relayed.run(this.source, throughSequence))
  }

  /** Resolves when this process has appended something, or after a second, or when aborted. */
  async appended(signal: AbortSignal): Promise<void> {
    const waiting = new AbortController()
    const elapsed = this.clock.sleep(idleMs, AbortSignal.any([signal, waiting.signal]))
    await Promise.race([this.#appended.promise, elapsed]).catch(() => {})
    waiting.abort()
    this.#appended = Promise.withResolvers()
  }
}

function chain(draft: AuditDraft, at: { source: string; time: string; after: AuditHead }): AuditEvent {
  const sequence = at.after.sequence + 1
  const unhashed: Omit<AuditEvent, 'hash'> = {
    specversion: '1.0',
    id: String(sequence),
    source: at.source,
    type: draft.type,
    subject: draft.subject,
    time: at.time,
    datacontenttype: 'application/json',
    data: draft.data,
    sequence,
    previoushash: at.after.hash,
  }
  return AuditEvent.parse({ ...unhashed, hash: digest(unhashed) })
}

export type ChainVerdict =
  | { readonly kind: 'intact'; readonly head: AuditHead }
  | { readonly kind: 'broken'; readonly sequence: number; readonly why: string }

/**
 * Checks events of one source, in order, against each other and against `after`, the end of what was checked
 * before. Names the first event that is not what its source wrote. An end that was cut off shows only against
 * a head that somebody else kept.
 */
export function verifyChain(events: Iterable<AuditEvent>, after: AuditHead = noHead): ChainVerdict {
  let head = after
  let source: string | undefined
  for (const event of events) {
    const { hash, ...rest } = event
    const sequence = head.sequence + 1
    source ??= event.source
    const broken = (why: string): ChainVerdict => ({ kind: 'broken', sequence, why })
    if (event.source !== source) return broken(`is from ${event.source}, not from ${source}`)
    if (event.sequence !== sequence) return broken(`is missing: number ${event.sequence} stands in its place`)
    if (event.previoushash !== head.hash) return broken('does not follow the event before it')
    if (digest(rest) !== hash) return broken('is not what was hashed')
    head = { sequence, hash }
  }
  return { kind: 'intact', head }
}
