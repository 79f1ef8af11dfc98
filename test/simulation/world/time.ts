/** Who stands still for so long cannot fail to notice, milliseconds. */
export const longMs = 7500

interface Timer {
  readonly atMs: number
  readonly run: () => void
  isCancelled: boolean
}

/**
 * True time, which no process of the world can see: each has a machine with clocks of its own. It passes only where
 * nothing is left to be done at the present moment, so that hours take milliseconds.
 */
export class Time {
  #nowMs = 0
  /** The next one is the last. */
  readonly #timers: Timer[] = []
  #turns: (() => void)[] = []

  get nowMs(): number {
    return this.#nowMs
  }

  /** Gives what cancels it. Timers of one moment run in the order in which they were set. */
  after(ms: number, run: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, ms), run, isCancelled: false }
    const timers = this.#timers
    let at = timers.length
    while (at > 0 && timers[at - 1]!.atMs <= timer.atMs) at -= 1
    timers.splice(at, 0, timer)
    return () => {
      timer.isCancelled = true
    }
  }

  /** Calls back once all that is going on at this moment has had its turn: what `setImmediate` means here. */
  nextTurn(run: () => void): void {
    this.#turns.push(run)
  }

  /** Lets time pass until `isOver`; false when that has not come about within `limitMs`. */
  async passUntil(isOver: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs
    for (;;) {
      await this.#settle()
      if (isOver()) return true
      const timer = this.#next()
      if (timer === undefined || timer.atMs > endMs) {
        this.#nowMs = endMs
        return false
      }
      this.#timers.pop()
      this.#nowMs = timer.atMs
      timer.run()
    }
  }

  async pass(ms: number): Promise<void> {
    await this.passUntil(() => false, ms)
  }

  #next(): Timer | undefined {
    while (this.#timers.at(-1)?.isCancelled) this.#timers.pop()
    return this.#timers.at(-1)
  }

  /** All promises that can be kept at this moment have been kept when a turn of the real event loop is over. */
  async #settle(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#turns.length === 0) return
      const turns = this.#turns
      this.#turns = []
      for (const turn of turns) turn()
    }
  }
}
