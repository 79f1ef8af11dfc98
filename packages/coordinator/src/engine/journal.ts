import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AuditLog, type AuditDraft, type Clock } from '@filo/protocol'
import { Plan } from '../plan/plan.ts'
import { RunEvent } from '../run/run-event.ts'
import type { StateDir } from './state-dir.ts'

// R1. What is appended is on disk when `append` returns: nothing is sent before.
// R12. What operators ask of a run from elsewhere is a row here, which the run's owner reads.

/** Long enough to outlast a command that only looks whether the lock is free; milliseconds. */
const lockTimeoutMs = 200

/** A run as it was ordered. */
export interface RunRecord {
  readonly run: string
  readonly plan: Plan
  /** SHA-256 of the plan's canonical JSON: the plan's name. */
  readonly planHash: string
  readonly operator: string
  /** Why the operator ordered it, if they said. */
  readonly reason: string | undefined
  /** Wall time; only ever printed. */
  readonly orderedAt: string
}

/** What an operator asks of a run that another process carries out. */
export type RunRequest = {
  readonly id: number
  readonly operator: string
  readonly reason: string
} & (
  | { readonly kind: 'cancel' }
  | { readonly kind: 'abort' }
  | { readonly kind: 'waive'; readonly step: string }
)

/** What was made of a request. */
export interface RequestAnswer {
  readonly accepted: boolean
  readonly detail: string
}

/** The coordinator's durable record of all runs of a fleet. Several processes may have it open. */
export class Journal implements Disposable {
  readonly audit: AuditLog
  readonly #db: DatabaseSync
  readonly #locks: string

  private constructor(db: DatabaseSync, locks: string, audit: AuditLog) {
    this.#db = db
    this.#locks = locks
    this.audit = audit
  }

  static open(dir: StateDir, clock: Clock, newId: () => string): Journal {
    const db = new DatabaseSync(dir.journal, { timeout: 10_000 })
    db.exec('pragma journal_mode = wal; pragma synchronous = full')
    db.exec(schema)
    db.prepare('insert or ignore into journal (only, id) values (1, ?)').run(newId())
    const id = db.prepare('select id from journal').get()!['id'] as string
    return new Journal(db, dir.locks, new AuditLog(db, `/coordinators/${id}`, clock))
  }

  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close()
  }

  createRun(record: RunRecord, event: AuditDraft): void {
    this.#transaction(() => {
      this.#db
        .prepare(
          'insert into run (id, plan, plan_hash, operator, reason, ordered_at) values (?, ?, ?, ?, ?, ?)',
        )
        .run(
          record.run,
          JSON.stringify(record.plan),
          record.planHash,
          record.operator,
          record.reason ?? null,
          record.orderedAt,
        )
      this.audit.append([event])
    })
  }

  run(id: string): RunRecord | undefined {
    const row = this.#db.prepare('select * from run where id = ?').get(id)
    return row && readRun(row)
  }

  /** The newest runs, newest first; their names tell the order only by the second. */
  runs(limit: number): RunRecord[] {
    return this.#db.prepare('select * from run order by rowid desc limit ?').all(limit).map(readRun)
  }

  /** Appends to a run's events, together with the audit events that tell of them, in one durable transaction. */
  append(run: string, events: readonly RunEvent[], drafts: readonly AuditDraft[]): void {
    if (events.length === 0 && drafts.length === 0) return
    this.#transaction(() => {
      const insert = this.#db.prepare('insert into run_event (run, event) values (?, ?)')
      for (const event of events) insert.run(run, JSON.stringify(event))
      if (drafts.length > 0) this.audit.append(drafts)
    })
  }

  /** The events of a run, oldest first. Throws where one cannot be read, with its number. */
  events(run: string): RunEvent[] {
    return this.#db
      .prepare('select number, event from run_event where run = ? order by number')
      .all(run)
      .map((row) => {
        const event = RunEvent.safeParse(JSON.parse(row['event'] as string))
        if (!event.success) {
          throw new Error(`the journal is damaged: event ${String(row['number'])} of ${run} cannot be read`)
        }
        return event.data
      })
  }

  /** Takes the run for this process, or gives undefined: another process has it. */
  lock(run: string): Disposable | undefined {
    // SQLite's exclusive lock is an fcntl(2) lock: it ends with the process that holds it, however that ends.
    const db = new DatabaseSync(join(this.#locks, `${run}.lock`), { timeout: lockTimeoutMs })
    try {
      db.exec('begin exclusive')
      return { [Symbol.dispose]: () => db.close() }
    } catch (error) {
      db.close()
      if (error instanceof Error && 'errcode' in error && error.errcode === 5) return undefined
      throw error
    }
  }

  /** Leaves a request for the owner of a run; gives its number. */
  request(run: string, request: Omit<RunRequest, 'id'> & { readonly step?: string }): number {
    const { kind, operator, reason, step } = request
    const { lastInsertRowid } = this.#db
      .prepare('insert into request (run, kind, step, operator, reason) values (?, ?, ?, ?, ?)')
      .run(run, kind, step ?? null, operator, reason)
    return Number(lastInsertRowid)
  }

  requests(run: string): RunRequest[] {
    return this.#db
      .prepare(
        'select id, kind, step, operator, reason from request where run = ? and answer is null order by id',
      )
      .all(run)
      .map((row) => ({ ...row }) as unknown as RunRequest)
  }

  answer(request: number, answer: RequestAnswer): void {
    this.#db.prepare('update request set answer = ? where id = ?').run(JSON.stringify(answer), request)
  }

  answerTo(request: number): RequestAnswer | undefined {
    const row = this.#db.prepare('select answer from request where id = ?').get(request)
    return typeof row?.['answer'] === 'string' ? (JSON.parse(row['answer']) as RequestAnswer) : undefined
  }

  #transaction(body: () => void): void {
    this.#db.exec('begin immediate')
    try {
      body()
      this.#db.exec('commit')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
  }
}

function readRun(row: Record<string, unknown>): RunRecord {
  return {
    run: row['id'] as string,
    plan: Plan.parse(JSON.parse(row['plan'] as string)),
    planHash: row['plan_hash'] as string,
    operator: row['operator'] as string,
    reason: (row['reason'] as string | null) ?? undefined,
    orderedAt: row['ordered_at'] as string,
  }
}

const schema = `
  create table if not exists journal (only integer primary key check (only = 1), id text not null) strict;
  create table if not exists run (
    id text primary key, plan text not null, plan_hash text not null,
    operator text not null, reason text, ordered_at text not null
  ) strict;
  create table if not exists run_event (
    number integer primary key, run text not null references run (id), event text not null
  ) strict;
  create index if not exists run_event_by_run on run_event (run, number);
  create table if not exists request (
    id integer primary key, run text not null references run (id), kind text not null, step text,
    operator text not null, reason text not null, answer text
  ) strict;
`
