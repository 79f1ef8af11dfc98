import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs'

/** What some forty endings of actions take in the write-ahead log, bytes. */
const reservedBytes = 1024 * 1024
const chunk = Buffer.alloc(64 * 1024, 'filo keeps this room for what must be recorded on a full disk\n')

/** A file that only takes room, given up where the disk is full and something must be recorded all the same. */
export class Reserve {
  readonly #path: string
  #isKept: boolean

  constructor(database: string) {
    this.#path = `${database}-reserve`
    this.#isKept = existsSync(this.#path)
    this.keep()
  }

  /** Takes the room, where there is some; a disk that is full is tried again at the next call. */
  keep(): void {
    if (this.#isKept) return
    try {
      const file = openSync(this.#path, 'w', 0o600)
      try {
        for (let bytes = 0; bytes < reservedBytes; bytes += chunk.length) {
          if (writeSync(file, chunk) < chunk.length) throw new Error('the disk is full')
        }
        this.#isKept = true
      } finally {
        closeSync(file)
      }
    } catch {
      rmSync(this.#path, { force: true })
    }
  }

  /** Gives the room back to the disk; false where there was none. */
  release(): boolean {
    if (!this.#isKept) return false
    rmSync(this.#path, { force: true })
    this.#isKept = false
    return true
  }
}
