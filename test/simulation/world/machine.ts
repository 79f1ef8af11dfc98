import type { Dice } from '../../support/dice.ts'
import { Disk } from './disk.ts'
import { longMs, type Time } from './time.ts'

/** A machine: its clocks, its boots, its disk. Its processes are told through `process.ts`. */
export class Machine {
  readonly name: string
  readonly time: Time
  readonly disk: Disk
  readonly #dice: Dice
  #boot: string
  /** True time at which its boot clock stood at zero. */
  #zeroMs: number
  #suspendedMs = 0
  /** True time until which it is suspended. */
  #awakeAtMs = 0
  /** True time at which it last went on after so long that none of its processes can have failed to notice. */
  stoodStillUntilMs = Number.NEGATIVE_INFINITY
  /** How wrong its wall clock is. */
  #wallErrorMs = 0

  constructor(name: string, time: Time, dice: Dice) {
    this.name = name
    this.time = time
    this.#dice = dice
    this.disk = new Disk(name, dice.fork())
    this.#boot = dice.id()
    this.#zeroMs = time.nowMs - dice.between(60_000, 10_000_000)
  }

  /** The kernel's boot id. */
  get boot(): string {
    return this.#boot
  }

  get awakeAtMs(): number {
    return this.#awakeAtMs
  }

  /** The boot clock at a true time; it counts suspended time. */
  sinceBootAt(trueMs: number): number {
    return trueMs - this.#zeroMs
  }

  /** The monotonic clock at a true time; it does not. */
  monotonicAt(trueMs: number): number {
    const ahead = Math.max(0, this.#awakeAtMs - trueMs)
    return this.sinceBootAt(trueMs) - Math.max(0, this.#suspendedMs - ahead)
  }

  /** The true time at which the monotonic clock has come so far; of one before the machine last slept, no later than its waking. */
  whenMonotonic(ms: number): number {
    return ms + this.#zeroMs + this.#suspendedMs
  }

  wallAt(trueMs: number): Date {
    return new Date(Date.UTC(2026, 0, 1) + trueMs + this.#wallErrorMs)
  }

  /** Somebody sets its clock, or a broken NTP server does. */
  setWallClock(errorMs: number): void {
    this.#wallErrorMs = errorMs
  }

  suspend(ms: number): void {
    if (ms >= longMs) this.stoodStillUntilMs = this.time.nowMs + ms
    const untilMs = Math.max(this.#awakeAtMs, this.time.nowMs + ms)
    this.#suspendedMs += untilMs - Math.max(this.#awakeAtMs, this.time.nowMs)
    this.#awakeAtMs = untilMs
  }

  /** A new boot: another id, and clocks that begin anew. */
  reboot(): void {
    this.#boot = this.#dice.id()
    this.#zeroMs = this.time.nowMs - this.#dice.between(1000, 20_000)
    this.#suspendedMs = 0
    this.#awakeAtMs = this.time.nowMs
  }
}
