import type { StatementSync } from 'node:sqlite'
import type { AuditDraft } from './audit-data.ts'
import { AuditEvent, noHead, type AuditHead, type SourceHead } from './audit-event.ts'
import type { Clock } from './clock.ts'
import type { Database } from './database.ts'
import { digest } from './digest.ts'
import { HeardHeads } from './heard-heads.ts'
import { limits } from './limits.ts'
import { Redactor } from './redaction.ts'
import type { Table } from './schema.ts'

// A1. An event stands in the same transaction as the change that it records: both or neither.
// A2. The events of a source have contiguous numbers, and each holds the hash of the one before.
// A3. Nothing is relayed before its transaction is committed, and nothing is forgotten before it was relayed.
// A4. What others say of the ends of their chains is kept in this one, with the next event that is appended.
// A5. What foreign programs and people said is redacted before it is hashed.

/** How long a relay waits before it looks for events that another process has appended. */
const idleMs = 1000

/** The tables of chains, to stand in the same database as what they tell of (A1). */
export const auditTables: readonly Table[] = [
  {
    name: 'audit_event',
    columns: {
      source: 'text not null',
      sequence: 'integer not null',
      hash: 'text not null',
      event: 'text not null',
    },
    key: ['source', 'sequence'],
    isClustered: true,
  },
  {
    name: 'audit_relay',
    columns: { source: 'text not null', sequence: 'integer not null' },
    key: ['source'],
    isClustered: true,
  },
]

/** The hash-chained log of one source, in its owner's database; the outbox from which `relay` sends. */
export class AuditLog {
  readonly source: string
  readonly clock: Clock
  readonly #db: Database
  readonly #redactor: Redactor
  readonly #insert: StatementSync
  readonly #head: StatementSync
  readonly #at: StatementSync
  readonly #between: StatementSync
  readonly #unrelayed: StatementSync
  readonly #relayed: StatementSync
  readonly #heard = new HeardHeads((at) => this.#hashAt(at))
  #appended = Promise.withResolvers<void>()

  /** @param source `/agents/HOST` or `/coordinators/ID`; a database may hold the chains of several, and has `auditTables`. */
  constructor(db: Database, source: string, clock: Clock, redactor = new Redactor()) {
    this.source = source
    this.clock = clock
    this.#db = db
    this.#redactor = redactor
    const { sql } = db
    this.#insert = sql.prepare('insert into audit_event (source, sequence, hash, event) values (?, ?, ?, ?)')
    this.#head = sql.prepare(
      'select sequence, hash from audit_event where source = ? order by sequence desc limit 1',
    )
    this.#at = sql.prepare('select hash from audit_event where source = ? and sequence = ?')
    this.#between = sql.prepare(
      'select event from audit_event where source = ? and sequence > ? and sequence <= ? order by sequence limit ?',
    )
    this.#unrelayed = sql.prepare(`
      select event from audit_event
      where source = ?1
        and sequence > coalesce((select sequence from audit_relay where source = ?1), 0)
      order by sequence limit ?2
    `)
    this.#relayed = sql.prepare(`
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
    if (!this.#db.sql.isTransaction) throw new Error('an audit event outside the transaction that it records')
    let { sequence, hash } = this.head()
    const time = this.clock.wall().toISOString()
    const due = this.#heard.due()
    const events = drafts.map((draft) => {
      const heads = due.splice(0, limits.headsPerEvent)
      const event = chain(withHeads(this.#redactor.redactAll(draft), heads), {
        source: this.source,
        time,
        after: { sequence, hash },
      })
      const text = JSON.stringify(event)
      // No transport would take it, and the relay would be stuck at it for good.
      if (Buffer.byteLength(text) > limits.messageBytes) {
        throw new RangeError(`an event ${event.type} over the limit of ${limits.messageBytes} bytes`)
      }
      ;({ sequence, hash } = event)
      this.#insert.run(event.source, sequence, hash, text)
      this.#heard.kept(heads, { sequence, hash })
      return event
    })
    this.#appended.resolve()
    return events
  }

  /** Notes the end of another source's chain, as that source has just said it (A4). */
  hear(head: SourceHead): void {
    this.#heard.hear(head)
  }

  /** Whether something was heard that stands in no event yet. */
  get hasHeard(): boolean {
    return this.#heard.due().length > 0
  }

  /** The end of the chain; number 0 before the first event. */
  head(): AuditHead {
    const row = this.#head.get(this.source)
    if (row === undefined) return noHead
    return { sequence: row['sequence'] as number, hash: row['hash'] as string }
  }

  #hashAt(sequence: number): string | undefined {
    return this.#at.get(this.source, sequence)?.['hash'] as string | undefined
  }

  /** The oldest events that the event log has not confirmed. None while a transaction is open (A3). */
  unrelayed(limit: number): AuditEvent[] {
    if (this.#db.sql.isTransaction) return []
    return this.#unrelayed.all(this.source, limit).map((row) => JSON.parse(row['event'] as string))
  }

  /** The entries after one number and up to another, as many of them as one message takes (R13). */
  between({ after, through }: { readonly after: number; readonly through: number }): AuditEvent[] {
    const entries: AuditEvent[] = []
    let bytes = 0
    for (const row of this.#between.all(this.source, after, through, limits.entriesPerMessage)) {
      const text = row['event'] as string
      bytes += Buffer.byteLength(text)
      if (bytes > limits.entriesBytesPerMessage && entries.length > 0) break
      entries.push(JSON.parse(text))
    }
    return entries
  }

  /** Not at once on disk: an event may be relayed twice. */
  markRelayed(throughSequence: number): void {
    this.#db.unsynced(() => this.#relayed.run(this.source, throughSequence))
  }

  /** Resolves when this process has appended something, or after a second, or when aborted. */
  async appended(signal: AbortSignal): Promise<void> {
    const waiting = new AbortController()
    const elapsed = this.clock.sleep(idleMs, AbortSignal.any([signal, waiting.signal]))
    await Promise.race([this.#appended.promise, elapsed]).catch(() => {})
    waiting.abort('it has come')
    this.#appended = Promise.withResolvers()
  }
}

type Content = Pick<AuditEvent, 'type' | 'subject' | 'data'>

function withHeads(draft: AuditDraft, heads: readonly SourceHead[]): Content {
  return heads.length === 0 ? draft : { ...draft, data: { ...draft.data, heads: [...heads] } }
}

function chain(content: Content, at: { source: string; time: string; after: AuditHead }): AuditEvent {
  const sequence = at.after.sequence + 1
  const unhashed: Omit<AuditEvent, 'hash'> = {
    specversion: '1.0',
    id: String(sequence),
    source: at.source,
    type: content.type,
    subject: content.subject,
    time: at.time,
    datacontenttype: 'application/json',
    data: content.data,
    sequence,
    previoushash: at.after.hash,
  }
  return AuditEvent.parse({ ...unhashed, hash: digest(unhashed) })
}
