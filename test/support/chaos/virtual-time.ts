import type { Clock } from '@filo/protocol'

interface Timer {
  readonly atMs: number
  readonly run: () => void
}

/** Time that passes only where nothing is left to be done at the present moment: hours take milliseconds. */
export class VirtualTime {
  #nowMs = 0
  /** The next one is the last. */
  readonly #timers: Timer[] = []

  get nowMs(): number {
    return this.#nowMs
  }

  /** Gives what cancels it. Timers of one moment run in the order in which they were set. */
  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), run }
    let at = this.#timers.length
    while (at > 0 && this.#timers[at - 1]!.atMs <= timer.atMs) at -= 1
    this.#timers.splice(at, 0, timer)
    return () => {
      const index = this.#timers.indexOf(timer)
      if (index !== -1) this.#timers.splice(index, 1)
    }
  }

  /** Lets time pass until `isOver`; false when that has not come about within `limitMs`. */
  async passUntil(isOver: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs
    for (;;) {
      await settled()
      if (isOver()) return true
      const timer = this.#timers.at(-1)
      if (timer === undefined || timer.atMs > endMs) {
        this.#nowMs = endMs
        return false
      }
      this.#timers.pop()
      this.#nowMs = timer.atMs
      timer.run()
    }
  }
}

/** Turns of the event loop in which all that follows from one moment happens: whoever waits for one has had two. */
const turnsPerMoment = 3

async function settled(): Promise<void> {
  for (let turn = 0; turn < turnsPerMoment; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/**
 * The life of a process. What has ended is as if killed: nothing that it waits for ever comes, so that it neither
 * does nor notices anything more.
 */
export class Life {
  readonly clock: Clock
  readonly #time: VirtualTime
  #isOver = false

  constructor(time: VirtualTime) {
    this.#time = time
    this.clock = {
      now: () => time.nowMs,
      sinceBoot: () => time.nowMs,
      wall: () => new Date(Date.UTC(2026, 0, 1) + time.nowMs),
      sleep: (ms, signal) => this.#sleep(ms, signal),
    }
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
  }

  /** What comes of a promise, as long as this life lasts. */
  async during<Value>(promise: Promise<Value>): Promise<Value> {
    const value = await promise
    return this.#isOver ? await new Promise<never>(() => {}) : value
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (signal?.aborted) reject(signal.reason as Error)
    const onAbort = (): void => {
      cancel()
      reject(signal!.reason as Error)
    }
    const cancel = this.#time.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      if (!this.#isOver) resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise
  }
}
