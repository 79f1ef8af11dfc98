import { setTimeout as delay } from 'node:timers/promises'
import { SinkLost, type Trouble } from './sink.ts'

const firstDelayMs = 200
const longestDelayMs = 30_000

/** Does one thing after the other, each again and again until it succeeds; says once that there is trouble, and its end. */
export class Attempts implements AsyncDisposable {
  readonly #what: string
  readonly #trouble: Trouble
  readonly #closing = new AbortController()
  #last: Promise<void> = Promise.resolve()
  #isInTrouble = false

  constructor(what: string, trouble: Trouble) {
    this.#what = what
    this.#trouble = trouble
  }

  /** Resolves when `attempt` has succeeded, after all that came before it. Throws SinkLost when given up. */
  keep(attempt: () => Promise<void>): Promise<void> {
    const kept = this.#last.then(() => this.#until(attempt))
    this.#last = kept.catch(() => {})
    return kept
  }

  /** What has not succeeded by now is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#last
  }

  async #until(attempt: () => Promise<void>): Promise<void> {
    for (let capMs = firstDelayMs; ; capMs = Math.min(2 * capMs, longestDelayMs)) {
      if (this.#closing.signal.aborted) throw new SinkLost(`${this.#what} was given up`)
      try {
        await attempt()
        if (this.#isInTrouble) this.#trouble(`${this.#what} takes events again`)
        this.#isInTrouble = false
        return
      } catch (error) {
        if (!this.#isInTrouble) {
          this.#trouble(`${this.#what} takes no events; they wait: ${(error as Error).message.trim()}`)
        }
        this.#isInTrouble = true
      }
      await delay(capMs * (0.5 + Math.random() / 2), undefined, { signal: this.#closing.signal }).catch(
        () => {},
      )
    }
  }
}
