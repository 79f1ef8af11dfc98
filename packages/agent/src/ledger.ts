import {
  AuditLog,
  auditTables,
  Database,
  Ending,
  isBusy,
  Redactor,
  type Act,
  type ActionRecord,
  type AuditDraft,
  type Clock,
  type Holder,
  type Schema,
  type HookPoint,
} from '@filo/protocol'
import type { ProcessGroup } from './managers/manager.ts'

// R5. `started` is durable before anything is done, and no action starts twice.
// R6. A seal bars what never started; a ledger that is new has a new id, and no memory to answer from.
// R8. The number of a grant only rises, across restarts too.
// Each change is one transaction together with its audit event, on disk before the call returns.

/** How many finished and sealed actions are remembered (R13): a command that old has no fresh beacon any more. */
const rememberedActions = 10_000

/** Long enough to outlast whoever only reads it (ledger-reader.ts); milliseconds. */
const lockTimeoutMs = 200

/** An action that began and has no ending yet: what a restarted agent must find out about. */
export interface OpenAction {
  readonly action: string
  readonly run: string
  readonly step: string
  readonly verb: Act['verb']
  /** Absent of what is done to the host itself. */
  readonly service: string | undefined
  readonly hook: HookPoint | undefined
  readonly coordinator: string
  readonly operator: string
  readonly command: string
  /** The boot in which it began, and when by that boot's clock. */
  readonly boot: string
  readonly startedAtMs: number
  readonly group: ProcessGroup | undefined
}

/** The agent's durable record: who holds the host, what was started, and what it came to. */
export class Ledger implements Disposable {
  readonly id: string
  readonly audit: AuditLog
  readonly #db: Database
  readonly #redactor: Redactor

  private constructor(db: Database, id: string, audit: AuditLog, redactor: Redactor) {
    this.#db = db
    this.#redactor = redactor
    this.id = id
    this.audit = audit
  }

  /**
   * Opens the ledger at `path`, or makes it. It stays locked to this process until disposed or killed
   * (fcntl(2) locks end with their process). Throws LedgerInUse, DamagedDatabase.
   */
  static open(
    path: string,
    host: string,
    clock: Clock,
    newId: () => string,
    redactor = new Redactor(),
  ): Ledger {
    const db = openDatabase(path)
    try {
      db.transaction(() => {
        db.sql.prepare('insert or ignore into ledger (only, id, host) values (1, ?, ?)').run(newId(), host)
      })
      const row = db.sql.prepare('select id, host from ledger').get()!
      if (row['host'] !== host) {
        throw new Error(`${path} is the ledger of host ${String(row['host'])}, not of ${host}`)
      }
      return new Ledger(
        db,
        row['id'] as string,
        new AuditLog(db, `/agents/${host}`, clock, redactor),
        redactor,
      )
    } catch (error) {
      db[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]()
  }

  /** Who holds the host by the last grant given; null before the first and after a release. */
  holder(): Holder | null {
    const row = this.#db.sql.prepare('select holder from ledger').get()!
    return row['holder'] === null ? null : (JSON.parse(row['holder'] as string) as Holder)
  }

  /** Gives the host to a run with the next number. */
  grant(holder: Omit<Holder, 'grant'>, event: (granted: Holder) => AuditDraft): Holder {
    return this.#db.transaction(() => {
      const row = this.#db.sql
        .prepare('update ledger set last_grant = last_grant + 1 returning last_grant')
        .get()!
      const granted: Holder = { ...holder, grant: row['last_grant'] as number }
      this.#db.sql.prepare('update ledger set holder = ?').run(JSON.stringify(granted))
      this.audit.append([event(granted)])
      return granted
    })
  }

  release(event: AuditDraft): void {
    this.#db.transaction(() => {
      this.#db.sql.prepare('update ledger set holder = null').run()
      this.audit.append([event])
    })
  }

  record(action: string): ActionRecord {
    const row = this.#db.sql.prepare('select status, ending from action where id = ?').get(action)
    if (row === undefined) return { action, status: 'never-heard' }
    const status = row['status'] as ActionRecord['status']
    if (row['ending'] === null) return { action, status }
    return { action, status, ending: Ending.parse(JSON.parse(row['ending'] as string)) }
  }

  /**
   * Whether an action that has not ended is in the way of this one: on the same service, or of the same hook. A host that
   * goes down is in the way of everything, and everything in its.
   */
  isBusy(act: Act): boolean {
    const open = "select 1 from action where status = 'started'"
    const { service, hook } = subjectOf(act)
    if (service === undefined) return this.#db.sql.prepare(open).get() !== undefined
    const query = `${open} and ((service = ? and hook is ?) or service = '')`
    return this.#db.sql.prepare(query).get(service, hook ?? null) !== undefined
  }

  openActions(): OpenAction[] {
    return this.#db.sql
      .prepare("select * from action where status = 'started'")
      .all()
      .map((row) => ({
        action: row['id'] as string,
        run: row['run'] as string,
        step: row['step'] as string,
        verb: row['verb'] as Act['verb'],
        service: (row['service'] as string) || undefined,
        hook: (row['hook'] as HookPoint | null) ?? undefined,
        coordinator: row['coordinator'] as string,
        operator: row['operator'] as string,
        command: row['command'] as string,
        boot: row['boot'] as string,
        startedAtMs: row['started_at_ms'] as number,
        group:
          row['pgid'] === null
            ? undefined
            : { pgid: row['pgid'] as number, startTicks: row['start_ticks'] as number },
      }))
  }

  /**
   * Records that an action starts, if `mayStart` still says so inside the transaction: the time that a slow disk
   * takes counts against the command's beacon (R9). Gives what `mayStart` objected, if it did. Throws when the
   * record cannot be made durable: then the action must not start.
   */
  start<Objection>(
    act: Act,
    at: { readonly command: string; readonly boot: string; readonly startedAtMs: number },
    mayStart: () => Objection | undefined,
    event: AuditDraft,
  ): Objection | undefined {
    return this.#db.transaction(() => {
      const objection = mayStart()
      if (objection !== undefined) return objection
      const { service, hook } = subjectOf(act)
      this.#db.sql
        .prepare(
          `insert into action (id, run, grant_number, step, verb, service, hook, coordinator, operator, command, boot, started_at_ms, status)
           values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'started')`,
        )
        .run(
          act.action,
          act.run,
          act.grant,
          act.step,
          act.verb,
          service ?? '',
          hook ?? null,
          act.coordinator,
          act.operator,
          at.command,
          at.boot,
          at.startedAtMs,
        )
      this.audit.append([event])
      return undefined
    })
  }

  /**
   * Notes the process group that an action runs in, for a successor of this agent process: after a crash of the
   * machine nothing of it runs, so that the disk is not waited for.
   */
  noteGroup(action: string, group: ProcessGroup): void {
    const note = this.#db.sql.prepare('update action set pgid = ?, start_ticks = ? where id = ?')
    this.#db.unsynced(() => note.run(group.pgid, group.startTicks, action))
  }

  /** It has happened: recorded even where that takes the last of the disk. */
  finish(action: string, ending: Ending, event: AuditDraft): void {
    this.#db.transactionOnReserve(() => {
      const row = this.#db.sql
        .prepare(
          "update action set status = 'finished', ending = ? where id = ? and status = 'started' returning verb, service",
        )
        .get(JSON.stringify(this.#redactor.redactAll(ending)), action)
      if (row === undefined) throw new Error(`action ${action} is not open: it cannot finish`)
      this.#noteChange(row['verb'] as Act['verb'], row['service'] as string, ending.outcome)
      this.audit.append([event])
      this.#forget()
    })
  }

  /**
   * Whether this agent has stopped the service, or may have, and not started it since; whoever else has. Remembered for
   * longer than the actions themselves.
   */
  isStoppedHere(service: string): boolean {
    return this.#db.sql.prepare('select 1 from stopped_here where service = ?').get(service) !== undefined
  }

  #noteChange(verb: Act['verb'], service: string, outcome: Ending['outcome']): void {
    if (verb === 'stop' && outcome !== 'unchanged') {
      this.#db.sql.prepare('insert or ignore into stopped_here (service) values (?)').run(service)
    } else if (verb === 'start' && outcome === 'changed') {
      this.#db.sql.prepare('delete from stopped_here where service = ?').run(service)
    }
  }

  /**
   * Bars an action that this ledger has never heard of. One that it has heard of stays as it is; one that it may have
   * heard of and forgotten is not barred, for it may have started.
   * @param grant under which the action was sent
   */
  seal(action: string, run: string, grant: number, event: AuditDraft): ActionRecord {
    return this.#db.transaction(() => {
      const known = this.record(action)
      if (known.status !== 'never-heard') return known
      const { forgotten_grant: forgotten } = this.#db.sql.prepare('select forgotten_grant from ledger').get()!
      if (grant <= (forgotten as number)) return { action, status: 'forgotten' }
      this.#db.sql
        .prepare(
          `insert into action (id, run, grant_number, step, verb, service, coordinator, operator, command, boot, started_at_ms, status)
           values (?, ?, ?, '', '', '', '', '', '', '', 0, 'sealed')`,
        )
        .run(action, run, grant)
      this.audit.append([event])
      this.#forget()
      return { action, status: 'sealed' }
    })
  }

  /** Records something that changes nothing here: a refusal, a start of the agent. */
  note(event: AuditDraft): void {
    this.#db.transaction(() => {
      this.audit.append([event])
    })
  }

  /** A finished action that is forgotten did start: nothing that was sent under so old a grant is barred from now on. */
  #forget(): void {
    const { newest, oldest } = this.#db.sql
      // Each by itself is a look at one end of the table.
      .prepare(
        'select (select max(number) from action) as newest, (select min(number) from action) as oldest',
      )
      .get() as { newest: number; oldest: number }
    const through = newest - rememberedActions
    if (oldest > through) return
    const old = `status <> 'started' and number <= ?`
    this.#db.sql
      .prepare(
        `update ledger set forgotten_grant =
           max(forgotten_grant, coalesce((select max(grant_number) from action where status = 'finished' and ${old}), 0))`,
      )
      .run(through)
    this.#db.sql.prepare(`delete from action where ${old}`).run(through)
  }
}

function subjectOf(act: Act): { readonly service?: string; readonly hook?: HookPoint } {
  if (!('service' in act)) return {}
  return act.verb === 'hook' ? { service: act.service, hook: act.hook } : { service: act.service }
}

/** Another process has the ledger open: two agents on one host would each know half of what was done. */
export class LedgerInUse extends Error {
  override name = 'LedgerInUse'
}

/** Whether an error is SQLite's own: the disk is full, the file is damaged. */
export function isLedgerFailure(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error
}

/** The tables of a ledger. */
export const ledgerSchema: Schema = {
  tables: [
    {
      name: 'ledger',
      columns: {
        only: 'integer primary key check (only = 1)',
        id: 'text not null',
        host: 'text not null',
        last_grant: 'integer not null default 0',
        forgotten_grant: 'integer not null default 0',
        holder: 'text',
      },
      key: ['only'],
    },
    {
      name: 'action',
      columns: {
        number: 'integer primary key',
        id: 'text not null unique',
        run: 'text not null',
        grant_number: 'integer not null',
        step: 'text not null',
        verb: 'text not null',
        service: 'text not null',
        hook: 'text',
        coordinator: 'text not null',
        operator: 'text not null',
        command: 'text not null',
        boot: 'text not null',
        started_at_ms: 'real not null',
        pgid: 'integer',
        start_ticks: 'integer',
        status: "text not null check (status in ('started', 'finished', 'sealed'))",
        ending: 'text',
      },
      key: ['number'],
    },
    { name: 'stopped_here', columns: { service: 'text not null' }, key: ['service'], isClustered: true },
    ...auditTables,
  ],
  indexes: ["create index if not exists action_open on action (service, hook) where status = 'started'"],
}

function openDatabase(path: string): Database {
  try {
    return Database.open(path, {
      schema: ledgerSchema,
      exclusive: true,
      reserved: true,
      timeoutMs: lockTimeoutMs,
    })
  } catch (error) {
    if (isBusy(error)) throw new LedgerInUse(`another agent process holds ${path}`, { cause: error })
    throw error
  }
}
