import type { Clock } from '@filo/protocol'
import type { Machine } from './machine.ts'
import { longMs } from './time.ts'

/** What a process that has been killed finds when it goes on all the same: its code runs into this, and does nothing. */
export class ProcessEnded extends Error {
  override name = 'ProcessEnded'
}

/** Moments between two steps of a process at which it can be killed or frozen. */
export type Point =
  | 'commit-before'
  | 'commit-after'
  | 'send-before'
  | 'send-after'
  | 'request-before'
  | 'request-after'

export const points: readonly Point[] = [
  'commit-before',
  'commit-after',
  'send-before',
  'send-after',
  'request-before',
  'request-after',
]

/** What befalls a process the next time that it comes to a point. */
export interface Trap {
  /** Undefined: whichever it is. */
  readonly point: Point | undefined
  /** Whether it may spring now. */
  readonly isArmed: () => boolean
  /** For how long it stands still; where it is killed, undefined. */
  readonly frozenMs: number | undefined
  readonly onSprung: (point: Point) => void
}

/**
 * A process of the coordinator or of an agent. What has ended neither does nor notices anything more. What is held
 * (frozen, or waiting for its disk) goes on later: what comes in waits, and what its code still does in the present
 * moment reaches the world when the world has caught up with it.
 */
export class Process {
  readonly name: string
  readonly machine: Machine
  readonly clock: Clock
  readonly #traps: Trap[] = []
  /** By the monotonic clock: while its machine is suspended, what holds a process comes no nearer to its end. */
  #heldUntil = Number.NEGATIVE_INFINITY
  /** It waits for its disk: nothing kills it before the disk has answered (signal(7) is held up by the kernel). */
  #diskUntilMs = 0
  #stoodStillUntilMs = Number.NEGATIVE_INFINITY
  #isOver = false
  /** What waits for it to go on. */
  readonly #waiting: (() => void)[] = []
  /** True time. */
  readonly beganMs: number
  readonly #onEnd: () => void

  constructor(name: string, machine: Machine, onEnd: () => void) {
    this.name = name
    this.#onEnd = onEnd
    this.beganMs = machine.time.nowMs
    this.machine = machine
    this.clock = {
      now: () => machine.monotonicAt(this.nowMs),
      sinceBoot: () => machine.sinceBootAt(this.nowMs),
      wall: () => machine.wallAt(this.nowMs),
      sleep: (ms, signal) => this.#sleep(ms, signal),
    }
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** True time as far as this process has come. */
  get nowMs(): number {
    return Math.max(this.machine.time.nowMs, this.#heldUntilMs, this.machine.awakeAtMs)
  }

  /** True time at which it last began, or went on after it had stood still. */
  get wokeAtMs(): number {
    return Math.max(this.beganMs, this.#heldUntilMs, this.machine.awakeAtMs)
  }

  /** True time at which it last went on after it had stood still for long. */
  get stoodStillUntilMs(): number {
    return Math.max(this.#stoodStillUntilMs, this.machine.stoodStillUntilMs)
  }

  get #heldUntilMs(): number {
    return this.machine.whenMonotonic(this.#heldUntil)
  }

  get isHeld(): boolean {
    return this.nowMs > this.machine.time.nowMs
  }

  kill(): void {
    const waitsMs = this.#diskUntilMs - this.machine.time.nowMs
    if (waitsMs > 0) this.machine.time.after(waitsMs, () => this.end())
    else this.end()
  }

  /** At once, whatever it waits for: its machine has no power. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onEnd()
  }

  /** It stands still: stopped by a signal, or not given the processor. */
  freeze(ms: number): void {
    this.#heldUntil = this.machine.monotonicAt(this.nowMs + ms)
    if (ms >= longMs) this.#stoodStillUntilMs = this.#heldUntilMs
  }

  waitForDisk(ms: number): void {
    this.freeze(ms)
    this.#diskUntilMs = this.#heldUntilMs
  }

  setTrap(trap: Trap): void {
    this.#traps.push(trap)
  }

  clearTraps(): void {
    this.#traps.length = 0
  }

  /** Its code comes to a point. False when that is where it ended, and nothing more may be done. */
  reaches(point: Point): boolean {
    if (this.#isOver) return false
    const at = this.#traps.findIndex((trap) => (trap.point ?? point) === point && trap.isArmed())
    if (at === -1) return true
    const [trap] = this.#traps.splice(at, 1)
    trap!.onSprung(point)
    if (trap!.frozenMs === undefined) this.end()
    else this.freeze(trap!.frozenMs)
    return !this.#isOver
  }

  /** What crosses its border, inwards or outwards: at once, or in turn when it goes on; never once it has ended. */
  cross(task: () => void): void {
    if (this.#isOver) return
    if (!this.isHeld && this.#waiting.length === 0) return task()
    this.#waiting.push(task)
    if (this.#waiting.length === 1) this.#wakeLater()
  }

  #wakeLater(): void {
    this.machine.time.after(this.nowMs - this.machine.time.nowMs, () => {
      while (this.#waiting.length > 0 && !this.#isOver) {
        if (this.isHeld) return this.#wakeLater()
        this.#waiting.shift()!()
      }
    })
  }

  /** A promise of the world, as this process sees it kept. */
  during<Value>(promise: Promise<Value>): Promise<Value> {
    const { promise: seen, resolve, reject } = Promise.withResolvers<Value>()
    promise.then(
      (value) => this.cross(() => resolve(value)),
      (error: unknown) => this.cross(() => reject(error)),
    )
    return seen
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (this.#isOver) return promise
    if (signal?.aborted) {
      reject(signal.reason as Error)
      return promise
    }
    const dueMs = this.clock.now() + Math.max(0, ms)
    let cancel = (): void => {}
    const onAbort = (): void => {
      cancel()
      reject(signal!.reason as Error)
    }
    const arm = (waitMs: number): void => {
      cancel = this.machine.time.after(waitMs, () =>
        this.cross(() => {
          // Timers of a process stand still while its machine is suspended.
          const leftMs = dueMs - this.clock.now()
          if (leftMs > 1e-6) return arm(leftMs)
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }),
      )
    }
    arm(dueMs - this.machine.monotonicAt(this.machine.time.nowMs))
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise
  }
}
