import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import {
  AuditLog,
  auditTables,
  Database,
  Redactor,
  type AuditDraft,
  type Clock,
  type Schema,
} from '@filo/protocol'
import { Plan } from '../plan/plan.ts'
import { RunEvent } from '../run/run-event.ts'
import type { StateDir } from './state-dir.ts'

// R1. What is appended is on disk when `append` returns: nothing is sent before.
// R8. A run has one owner: what another process appends to it, that had it before and was taken for dead, is refused.
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

/** The process that carries a run out, or was the last to do so. */
export interface RunOwner {
  readonly coordinator: string
  readonly operator: string
  readonly pid: number
  /** Wall time; only ever printed. */
  readonly since: string
}

/** The run has a new owner: this process has lost it, and nothing that it did not append may be sent. */
export class RunTakenOver extends Error {
  override name = 'RunTakenOver'
  readonly run: string
  readonly owner: RunOwner

  constructor(run: string, owner: RunOwner) {
    super(`${run} has been taken over by ${owner.operator}`)
    this.run = run
    this.owner = owner
  }
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
  readonly #db: Database
  readonly #locks: string

  private constructor(db: Database, locks: string, audit: AuditLog) {
    this.#db = db
    this.#locks = locks
    this.audit = audit
  }

  /** Throws DamagedDatabase where a bit of it is not as it was written. */
  static open(
    dir: Pick<StateDir, 'journal' | 'locks'>,
    clock: Clock,
    newId: () => string,
    redactor = new Redactor(),
  ): Journal {
    const db = Database.open(dir.journal, { schema, timeoutMs: 10_000 })
    db.transaction(() => {
      db.sql.prepare('insert or ignore into journal (only, id) values (1, ?)').run(newId())
    })
    const id = db.sql.prepare('select id from journal').get()!['id'] as string
    return new Journal(db, dir.locks, new AuditLog(db, `/coordinators/${id}`, clock, redactor))
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]()
  }

  createRun(record: RunRecord, event: AuditDraft): void {
    this.#db.transaction(() => {
      this.#db.sql
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

  /** Keeps an audit event that belongs to no run. */
  note(event: AuditDraft): void {
    this.#db.transaction(() => this.audit.append([event]))
  }

  run(id: string): RunRecord | undefined {
    const row = this.#db.sql.prepare('select * from run where id = ?').get(id)
    return row && readRun(row)
  }

  /** The newest runs, newest first; their names tell the order only by the second. */
  runs(limit: number): RunRecord[] {
    return this.#db.sql.prepare('select * from run order by number desc limit ?').all(limit).map(readRun)
  }

  /** Makes a process the owner of a run, durably: from now on the one before it can append nothing. */
  own(run: string, { coordinator, operator, pid, since }: RunOwner): void {
    const put = this.#db.sql.prepare(
      'insert or replace into run_owner (run, coordinator, operator, pid, since) values (?, ?, ?, ?, ?)',
    )
    this.#db.transaction(() => put.run(run, coordinator, operator, pid, since))
  }

  /** The owner of a run, alive or not; undefined before the first. */
  owner(run: string): RunOwner | undefined {
    const row = this.#db.sql
      .prepare('select coordinator, operator, pid, since from run_owner where run = ?')
      .get(run)
    return row && ({ ...row } as unknown as RunOwner)
  }

  /**
   * Appends to a run's events, together with the audit events that tell of them, in one durable transaction.
   * @param coordinator who appends, where it is the owner that carries the run out. Throws RunTakenOver where it is no more.
   */
  append(
    run: string,
    events: readonly RunEvent[],
    drafts: readonly AuditDraft[],
    coordinator?: string,
  ): void {
    if (events.length === 0 && drafts.length === 0) return
    this.#db.transaction(() => {
      const owner = coordinator === undefined ? undefined : this.owner(run)
      if (owner !== undefined && owner.coordinator !== coordinator) throw new RunTakenOver(run, owner)
      const insert = this.#db.sql.prepare('insert into run_event (run, event) values (?, ?)')
      for (const event of events) insert.run(run, JSON.stringify(event))
      if (drafts.length > 0) this.audit.append(drafts)
    })
  }

  /** The events of a run, oldest first. Throws where one cannot be read, with its number. */
  events(run: string): RunEvent[] {
    return this.#db.sql
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

  /**
   * Takes the run although another process has it: that one keeps a lock that nobody looks at any more. Two who do so at
   * once are told apart by who became the owner last.
   */
  takeLock(run: string): Disposable | undefined {
    const free = this.lock(run)
    if (free !== undefined) return free
    rmSync(join(this.#locks, `${run}.lock`), { force: true })
    return this.lock(run)
  }

  /** Leaves a request for the owner of a run; gives its number. */
  request(run: string, request: Omit<RunRequest, 'id'> & { readonly step?: string }): number {
    const { kind, operator, reason, step } = request
    const insert = this.#db.sql.prepare(
      'insert into request (run, kind, step, operator, reason) values (?, ?, ?, ?, ?)',
    )
    const { lastInsertRowid } = this.#db.transaction(() =>
      insert.run(run, kind, step ?? null, operator, reason),
    )
    return Number(lastInsertRowid)
  }

  requests(run: string): RunRequest[] {
    return this.#db.sql
      .prepare(
        'select id, kind, step, operator, reason from request where run = ? and answer is null order by id',
      )
      .all(run)
      .map((row) => ({ ...row }) as unknown as RunRequest)
  }

  answer(request: number, answer: RequestAnswer): void {
    const update = this.#db.sql.prepare('update request set answer = ? where id = ?')
    this.#db.transaction(() => update.run(JSON.stringify(answer), request))
  }

  answerTo(request: number): RequestAnswer | undefined {
    const row = this.#db.sql.prepare('select answer from request where id = ?').get(request)
    return typeof row?.['answer'] === 'string' ? (JSON.parse(row['answer']) as RequestAnswer) : undefined
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

const schema: Schema = {
  tables: [
    {
      name: 'journal',
      columns: { only: 'integer primary key check (only = 1)', id: 'text not null' },
      key: ['only'],
    },
    {
      name: 'run',
      columns: {
        number: 'integer primary key',
        id: 'text not null unique',
        plan: 'text not null',
        plan_hash: 'text not null',
        operator: 'text not null',
        reason: 'text',
        ordered_at: 'text not null',
      },
      key: ['number'],
    },
    {
      name: 'run_event',
      columns: {
        number: 'integer primary key',
        run: 'text not null references run (id)',
        event: 'text not null',
      },
      key: ['number'],
    },
    {
      name: 'run_owner',
      columns: {
        run: 'text not null references run (id)',
        coordinator: 'text not null',
        operator: 'text not null',
        pid: 'integer not null',
        since: 'text not null',
      },
      key: ['run'],
      isClustered: true,
    },
    {
      name: 'request',
      columns: {
        id: 'integer primary key',
        run: 'text not null references run (id)',
        kind: 'text not null',
        step: 'text',
        operator: 'text not null',
        reason: 'text not null',
        answer: 'text',
      },
      key: ['id'],
    },
    ...auditTables,
  ],
  indexes: ['create index if not exists run_event_by_run on run_event (run, number)'],
}
