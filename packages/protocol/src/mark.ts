import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { DamagedDatabase } from './errors.ts'

// SQLite takes the first frame of its write-ahead log that does not match its checksum for the place where a crash
// ended the log, and goes on without all that follows: a bit that flips there would take back what had been
// committed. So a small file beside the database says up to which change it was written.

/** How many changes were made in all, by the last who wrote it. */
interface Written {
  /** The kernel's boot in which it was written. */
  readonly boot: string
  /** Changes that were on the disk. */
  readonly synced: number
  /** Changes that were written: those of this boot are there, however the process ended. */
  readonly written: number
}

const boot = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** The end of what was committed, kept outside of the database. Never on disk before what it tells of. */
export class Mark implements Disposable {
  readonly #file: number
  readonly #boot = boot()
  readonly #changes: StatementSync
  #synced: number

  private constructor(file: number, sql: DatabaseSync, synced: number) {
    this.#file = file
    this.#changes = sql.prepare('select sum(changes) as n from tally')
    this.#synced = synced
  }

  static pathOf(database: string): string {
    return `${database}-mark`
  }

  static open(database: string, sql: DatabaseSync): Mark {
    const before = Mark.read(database)
    // Written in its place, so that it needs no room on a disk that is full.
    const file = openSync(Mark.pathOf(database), before === undefined ? 'w' : 'r+', 0o600)
    return new Mark(file, sql, before?.synced ?? 0)
  }

  /** How many changes a database has at least; 0 without a mark. Throws DamagedDatabase. */
  static leastChanges(database: string): number {
    const mark = Mark.read(database)
    if (mark === undefined) return 0
    return mark.boot === boot() ? mark.written : mark.synced
  }

  static read(database: string): Written | undefined {
    const path = Mark.pathOf(database)
    let text: string
    try {
      text = readFileSync(path, 'latin1')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    // What a machine that lost its power leaves of a file that was never synced.
    if (/^\0*$/.test(text)) return undefined
    const [bootId, synced, written, sum] = text.split(' ') as [string, string, string, string]
    if (text !== line(bootId, Number(synced), Number(written)) || sum === undefined) {
      throw new DamagedDatabase(database, `the one line of ${basename(path)} is not what was written`)
    }
    return { boot: bootId, synced: Number(synced), written: Number(written) }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }

  /** Notes a commit. That it cannot is no harm: a mark that is behind only shows less. */
  write(how: 'synced' | 'written'): void {
    const changes = this.#changes.get()!['n'] as number
    if (how === 'synced') this.#synced = changes
    try {
      writeSync(this.#file, line(this.#boot, this.#synced, changes), 0, 'latin1')
    } catch {}
  }
}

/** Always of the same length: a shorter one would leave the end of a longer one. */
function line(bootId: string, synced: number, written: number): string {
  const text = `${bootId} ${String(synced).padStart(16, '0')} ${String(written).padStart(16, '0')}`
  return `${text} ${crc32(text).toString(16).padStart(8, '0')}\n`
}
