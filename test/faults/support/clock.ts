import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The boot clock of programs that a test starts with its environment. */
export class BootClock {
  readonly environment: Readonly<Record<string, string>>
  readonly #file: string

  /** @param dir where it keeps how far it is ahead. */
  constructor(dir: string, name: string) {
    this.#file = join(dir, `${name}.clock`)
    this.environment = {
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('boot-clock.ts', import.meta.url))}`,
      FILO_CLOCK: this.#file,
    }
    this.setAhead(0)
  }

  /** From now on it is this much ahead of the machine's. */
  setAhead(ms: number): void {
    // Whole, for those who read it at this moment.
    writeFileSync(`${this.#file}.new`, String(ms))
    renameSync(`${this.#file}.new`, this.#file)
  }

  /** The processes that have read it while it was ahead. */
  readers(): number[] {
    const file = `${this.#file}.readers`
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
  }
}
