import type { SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { sqliteError, type File } from '../world/disk.ts'
import { ProcessEnded, type Process } from '../world/process.ts'
import { ambient } from './ambient.ts'

// In place of node:sqlite: databases on simulated disks, opened by simulated processes.

type Row = Record<string, SQLOutputValue>

/** A process's connection to a database. */
export class DatabaseSync {
  readonly #process: Process
  readonly #file: File
  #isOpen = true

  constructor(path: string) {
    const { process, file } = ambient().find(path)
    this.#process = process
    this.#file = file
    file.recover()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get isTransaction(): boolean {
    return this.#file.isTransaction
  }

  /** Of use only where bits flip. */
  function(): void {}

  exec(sql: string): void {
    this.#assertAlive()
    if (sql.startsWith('begin')) return sql.includes(';') ? this.#file.lay(sql) : this.#begin(sql)
    if (sql === 'commit') return this.#file.commit(this.#process)
    if (sql === 'rollback') return this.#file.rollback()
    if (sql.startsWith('pragma')) {
      if (sql.includes('exclusive') && !this.#file.own(this.#process)) throw locked()
      return
    }
    this.#file.exec(sql)
  }

  prepare(sql: string): Pick<Statement, 'run'> {
    if (sql === 'begin immediate') return new Directive(() => this.#begin(sql))
    if (sql === 'commit') return new Directive(() => this.#file.commit(this.#process))
    return new Statement(this.#file, sql, () => this.#assertAlive())
  }

  close(): void {
    this.#isOpen = false
    this.#file.disown(this.#process)
  }

  #begin(sql: string): void {
    this.#assertAlive()
    if (sql === 'begin exclusive') {
      if (!this.#file.own(this.#process)) throw locked()
      return
    }
    const delayMs = this.#file.disk.delayMs()
    if (delayMs > 0) this.#process.waitForDisk(delayMs)
    this.#file.begin(this.#process)
  }

  #assertAlive(): void {
    if (this.#process.isOver) throw new ProcessEnded(this.#process.name)
    if (!this.#isOpen) throw new Error('database is not open')
  }
}

/** What begins and ends transactions. */
class Directive {
  readonly #carryOut: () => void

  constructor(carryOut: () => void) {
    this.#carryOut = carryOut
  }

  run(): { lastInsertRowid: number; changes: number } {
    this.#carryOut()
    return { lastInsertRowid: 0, changes: 0 }
  }
}

class Statement {
  readonly #file: File
  readonly #sql: string
  readonly #assertAlive: () => void

  constructor(file: File, sql: string, assertAlive: () => void) {
    this.#file = file
    this.#sql = sql
    this.#assertAlive = assertAlive
    // What is wrong with it is told when it is prepared.
    file.statement(sql)
  }

  get(...values: SQLInputValue[]): Row | undefined {
    this.#assertAlive()
    return this.#file.get(this.#sql, values)
  }

  all(...values: SQLInputValue[]): Row[] {
    this.#assertAlive()
    return this.#file.statement(this.#sql).all(...values)
  }

  run(...values: SQLInputValue[]): { lastInsertRowid: number | bigint; changes: number | bigint } {
    this.#assertAlive()
    return this.#file.run(this.#sql, values)
  }
}

function locked(): Error {
  return sqliteError(5, 'database is locked')
}
