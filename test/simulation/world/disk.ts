import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { Dice } from '../../support/dice.ts'
import { ProcessEnded, type Process } from './process.ts'

// The disk of a machine, at the height of transactions: what SQLite makes of torn and half-written pages is
// SQLite's own affair, and a transaction that was cut off is there or not.

/** What was written: the kind and columns of a row, as `watch` of its file tells them. */
export type Row = readonly [kind: string, ...columns: readonly (string | number | null)[]]

/** A row, and the true time at which it was written, as far as the writer had come. */
export interface TimedRow {
  readonly row: Row
  readonly atMs: number
}

/** How a disk serves those who write. */
export type Service =
  | { readonly kind: 'well' }
  /** No room: nothing is written, and whoever writes is told so. */
  | { readonly kind: 'full' }
  /** Takes up to so many milliseconds for each transaction. */
  | { readonly kind: 'slow'; readonly upToMs: number }
  /** fsync(2) fails: whoever writes is told so, and nobody knows whether it will be there after a crash. */
  | { readonly kind: 'failing'; readonly chance: number }

const wellServed: Service = { kind: 'well' }

export class Disk {
  readonly name: string
  service: Service = wellServed
  readonly #dice: Dice
  readonly #files = new Map<string, File>()

  constructor(name: string, dice: Dice) {
    this.name = name
    this.#dice = dice
  }

  open(path: string): File {
    let file = this.#files.get(path)
    if (file === undefined) this.#files.set(path, (file = new File(path, this)))
    return file
  }

  remove(path: string): void {
    this.#files.delete(path)
  }

  /** A new disk in its place: nothing of the old one is left. */
  replace(): void {
    this.close()
    this.service = wellServed
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  /** What becomes of a transaction that is about to be committed. */
  fate(): 'stored' | 'refused' | 'doubtful' {
    if (this.service.kind === 'full') return 'refused'
    if (this.service.kind === 'failing' && this.#dice.happens(this.service.chance)) return 'doubtful'
    return 'stored'
  }

  delayMs(): number {
    return this.service.kind === 'slow' && this.#dice.happens(0.5)
      ? this.#dice.between(1, this.service.upToMs)
      : 0
  }

  /** Whether a transaction whose fsync failed is found after all by whoever opens the file next. */
  keepsDoubtful(): boolean {
    return this.#dice.happens(0.5)
  }
}

type Write = readonly [sql: string, values: readonly SQLInputValue[]]

/** A database on a disk: it outlives the processes that have it open. */
export class File {
  readonly path: string
  readonly disk: Disk
  /** Hears of each transaction's rows when they are on disk, and when it began, true time. */
  onCommit: (process: Process, rows: readonly TimedRow[], begunAtMs: number) => void = () => {}
  /** SQL that makes its tables tell of rows; laid before its first transaction. */
  triggers = ''
  #opened: DatabaseSync | undefined
  #isThere = true
  /** The text that its tables were made by. */
  #schema = ''
  readonly #statements = new Map<string, StatementSync>()
  #owner: Process | undefined
  /** Who writes now, and what the transaction holds. */
  #writer: Process | undefined
  #rows: TimedRow[] = []
  #writes: Write[] = []
  #begunAtMs = 0
  /** A transaction that could not be synced. */
  #doubtful:
    | {
        readonly process: Process
        readonly rows: readonly TimedRow[]
        readonly writes: readonly Write[]
        readonly begunAtMs: number
      }
    | undefined

  constructor(path: string, disk: Disk) {
    this.path = path
    this.disk = disk
  }

  /** Made when it is first needed: what serves as a lock never is. */
  get #db(): DatabaseSync {
    if (this.#opened !== undefined) return this.#opened
    const db = new DatabaseSync(':memory:')
    db.function('tell', { varargs: true }, (...columns) => {
      if (this.#writer !== undefined)
        this.#rows.push({ row: columns as unknown as Row, atMs: this.#writer.nowMs })
      return null
    })
    return (this.#opened = db)
  }

  /** Whether it is on its disk, and not with one that was lost. */
  get isThere(): boolean {
    return this.#isThere
  }

  get name(): string {
    return `${this.disk.name}:${this.path}`
  }

  get isTransaction(): boolean {
    return this.#db.isTransaction
  }

  close(): void {
    this.#isThere = false
    this.#opened?.close()
  }

  /** Whether the process has it for itself from now on. */
  own(process: Process): boolean {
    if (this.#owner !== undefined && this.#owner !== process && !this.#owner.isOver) return false
    this.#owner = process
    return true
  }

  disown(process: Process): void {
    if (this.#owner === process) this.#owner = undefined
  }

  /** Finds out about a transaction that could not be synced before the machine or the process went down. */
  recover(): void {
    const doubtful = this.#doubtful
    this.#doubtful = undefined
    if (doubtful === undefined || !doubtful.process.isOver || !this.disk.keepsDoubtful()) return
    this.begin(doubtful.process)
    for (const [sql, values] of doubtful.writes) this.statement(sql).run(...values)
    // What it holds was written then.
    this.#rows = [...doubtful.rows]
    this.#begunAtMs = doubtful.begunAtMs
    this.#store()
  }

  /** What a person could read in it. */
  read(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.statement(sql).all(...values)
  }

  /** Makes its tables, where they are not there yet. */
  lay(schema: string): void {
    if (this.#schema === schema) return
    this.#schema = schema
    this.#db.deserialize(imageOf(schema))
  }

  exec(sql: string): void {
    this.#db.exec(sql)
    if (this.#writer !== undefined) this.#writes.push([sql, []])
  }

  /** A statement that writes. Outside of a transaction it is one of its own. */
  run(sql: string, values: readonly SQLInputValue[]): ReturnType<StatementSync['run']> {
    this.#note(sql, values)
    return this.statement(sql).run(...values)
  }

  get(sql: string, values: readonly SQLInputValue[]): ReturnType<StatementSync['get']> {
    if (!sql.trimStart().startsWith('select')) this.#note(sql, values)
    return this.statement(sql).get(...values)
  }

  #note(sql: string, values: readonly SQLInputValue[]): void {
    if (this.#writer !== undefined) this.#writes.push([sql, values])
    else if (!sql.startsWith('insert or ignore') && this.disk.fate() !== 'stored') throw noRoom()
  }

  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)))
    return statement
  }

  begin(process: Process): void {
    if (this.triggers !== '') this.#db.exec(this.triggers)
    this.triggers = ''
    this.statement('begin immediate').run()
    this.#writer = process
    this.#rows = []
    this.#writes = []
    this.#begunAtMs = process.machine.time.nowMs
  }

  rollback(): void {
    if (this.#db.isTransaction) this.statement('rollback').run()
    this.#writer = undefined
  }

  /** Throws what SQLite throws, and ProcessEnded where the process ends in it. */
  commit(process: Process): void {
    if (process.isOver) throw new ProcessEnded(process.name)
    if (!process.reaches('commit-before')) {
      this.rollback()
      throw new ProcessEnded(process.name)
    }
    const delayMs = this.disk.delayMs()
    if (delayMs > 0) process.waitForDisk(delayMs)
    const fate = this.disk.fate()
    if (fate === 'stored') this.#store()
    else {
      if (fate === 'doubtful') {
        this.#doubtful = { process, rows: this.#rows, writes: this.#writes, begunAtMs: this.#begunAtMs }
      }
      this.rollback()
      throw fate === 'refused' ? noRoom() : sqliteError(1034, 'disk I/O error')
    }
    process.reaches('commit-after')
  }

  #store(): void {
    this.statement('commit').run()
    this.#doubtful = undefined
    const process = this.#writer!
    this.#writer = undefined
    if (this.#rows.length > 0) this.onCommit(process, this.#rows, this.#begunAtMs)
    this.#rows = []
  }
}

const images = new Map<string, Uint8Array>()

/** A database with nothing but tables in it. What finds flipped bits is left out: here none flips. */
function imageOf(schema: string): Uint8Array {
  let image = images.get(schema)
  if (image === undefined) {
    using db = new DatabaseSync(':memory:')
    db.exec(schema.replaceAll(/generated always as \(row_sum\(.*?\)\) stored/g, 'default 0'))
    const counting = db.prepare("select name from sqlite_schema where type = 'trigger'").all()
    for (const { name } of counting) db.exec(`drop trigger ${String(name)}`)
    images.set(schema, (image = db.serialize()))
  }
  return image
}

function noRoom(): Error {
  return sqliteError(13, 'database or disk is full')
}

/** As node:sqlite throws them. */
export function sqliteError(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { code: 'ERR_SQLITE_ERROR', errcode })
}
