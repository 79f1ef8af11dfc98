import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '@filo/protocol'

/** What arrives for a loop with one reader: all of it is taken at once, in order. */
export class Inbox<Item> {
  readonly #clock: Clock
  #items: Item[] = []
  #arrived = Promise.withResolvers<void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  push(item: Item): void {
    this.#items.push(item)
    this.#arrived.resolve()
  }

  /**
   * What has arrived; waits for something, `waitMs` at most. Messages that were read from the network at once are
   * taken at once: each batch costs a write to the disk.
   */
  async take(waitMs: number): Promise<Item[]> {
    if (this.#items.length === 0) {
      const waiting = new AbortController()
      const elapsed = this.#clock.sleep(waitMs, waiting.signal).catch(() => {})
      await Promise.race([this.#arrived.promise, elapsed])
      waiting.abort('it has come')
    }
    await nextTurn()
    const items = this.#items
    this.#items = []
    this.#arrived = Promise.withResolvers()
    return items
  }
}
