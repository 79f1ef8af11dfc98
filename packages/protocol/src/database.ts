import { existsSync, rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { lookForDamage } from './damage.ts'
import { Mark } from './mark.ts'
import { Reserve } from './reserve.ts'
import { registerRowSum, schemaOf, type Schema } from './schema.ts'

// D1. What `transaction` returned from is on disk, and none of it where it threw.
// D2. A bit that has flipped anywhere in the files is found when the database is opened, with its place: nothing is
//     made of what was not written.

export interface DatabaseOptions {
  readonly schema: Schema
  /** Locked to this process until it is disposed or killed (fcntl(2) locks end with their process). */
  readonly exclusive?: true
  /** How long another process's transaction is waited for, milliseconds. */
  readonly timeoutMs?: number
  /** Keeps room for transactions that must not fail because the disk is full. */
  readonly reserved?: true
}

/** A file of SQLite's with a write-ahead log: every change is a durable transaction, and damage is noticed. */
export class Database implements Disposable {
  readonly sql: DatabaseSync
  readonly #mark: Mark | undefined
  readonly #reserve: Reserve | undefined

  private constructor(sql: DatabaseSync, mark: Mark | undefined, reserve: Reserve | undefined) {
    this.sql = sql
    this.#mark = mark
    this.#reserve = reserve
  }

  /**
   * Opens the database at `path`, or makes it. Throws DamagedDatabase where what stands in its files is not what was
   * written, and touches nothing then; throws what SQLite says of locks and of a disk that cannot be written.
   */
  static open(path: string, { schema, exclusive, timeoutMs = 0, reserved }: DatabaseOptions): Database {
    const isFile = !path.startsWith('file:') && path !== ':memory:'
    if (isFile && existsSync(path)) lookForDamage(path, schema, timeoutMs)
    // Its database is gone, and a new one begins to count anew.
    else if (isFile) rmSync(Mark.pathOf(path), { force: true })
    const sql = new PreparedOnce(path, { timeout: timeoutMs })
    try {
      registerRowSum(sql)
      if (exclusive) sql.exec('pragma locking_mode = exclusive')
      // Without the last of these a row that INSERT OR REPLACE takes away fires no trigger, and is counted for ever.
      sql.exec('pragma journal_mode = wal; pragma synchronous = full; pragma recursive_triggers = on')
      sql.exec(`begin immediate; ${schemaOf(schema)} commit`)
      const mark = isFile ? Mark.open(path, sql) : undefined
      return new Database(sql, mark, isFile && reserved ? new Reserve(path) : undefined)
    } catch (error) {
      sql.close()
      throw error
    }
  }

  [Symbol.dispose](): void {
    if (!this.sql.isOpen) return
    this.#mark?.[Symbol.dispose]()
    this.sql.close()
  }

  /** Carries out `body` as one durable transaction (D1). */
  transaction<Value>(body: () => Value): Value {
    const value = this.#attempt(body)
    this.#mark?.write('synced')
    this.#reserve?.keep()
    return value
  }

  /** The same for what has happened already, and must be recorded even if that takes the last of the disk. */
  transactionOnReserve<Value>(body: () => Value): Value {
    try {
      return this.transaction(body)
    } catch (error) {
      if (!isFull(error) || this.#reserve?.release() !== true) throw error
      const value = this.#attempt(body)
      this.#mark?.write('synced')
      return value
    }
  }

  /**
   * Writes without waiting for the disk: what is written survives this process however it ends, but perhaps not the
   * machine. The next transaction makes it durable too. Not within a transaction.
   */
  unsynced(write: () => void): void {
    // https://sqlite.org/pragma.html#pragma_synchronous: in WAL mode only `full` syncs at each commit.
    this.sql.exec('pragma synchronous = normal')
    try {
      this.#attempt(write)
    } finally {
      this.sql.exec('pragma synchronous = full')
    }
    this.#mark?.write('written')
  }

  #attempt<Value>(body: () => Value): Value {
    this.sql.prepare('begin immediate').run()
    try {
      const value = body()
      this.sql.prepare('commit').run()
      return value
    } catch (error) {
      if (this.sql.isTransaction) this.sql.exec('rollback')
      throw error
    }
  }
}

/** Compiles each statement when it is first needed, and keeps it: there are few, and they come again and again. */
class PreparedOnce extends DatabaseSync {
  readonly #statements = new Map<string, StatementSync>()

  override prepare(text: string): StatementSync {
    let statement = this.#statements.get(text)
    if (statement === undefined) this.#statements.set(text, (statement = super.prepare(text)))
    return statement
  }
}

/** SQLite's primary result code FULL (https://sqlite.org/rescode.html). */
function isFull(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === 13
}
