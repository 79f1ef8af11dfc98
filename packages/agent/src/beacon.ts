import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Beacon, Clock } from '@filo/protocol'

/** How old a beacon may be when an action starts, by the boot clock (R9), milliseconds. */
export const beaconAgeMs = 30_000
/** How often this process notes that it runs, and after how long without a note it must have stood still. */
const pulseEveryMs = 2000
const stillMs = 5000

/**
 * R9. A command must quote a beacon that this very process issued a short while ago by its own boot clock, which
 * goes on while the machine is suspended, and since it last stood still: what waits in its socket meanwhile was sent
 * by somebody who has long given it up. A beacon carries its time and a code that only this process can make, so
 * that none has to be remembered, and those of an earlier process are worth nothing.
 */
export class Beacons {
  readonly #secret = randomBytes(32)
  readonly #clock: Clock
  readonly #closing: AbortSignal
  #issuedMs = 0
  /** When this process last noted that it runs; undefined while it does not. */
  #pulseMs: number | undefined
  /** No beacon from before is good any more. */
  #stoodStillUntilMs = 0

  /** @param closing ends what goes on here by itself */
  constructor(clock: Clock, closing: AbortSignal) {
    this.#clock = clock
    this.#closing = closing
  }

  /** @param turn of who holds the host: a beacon that was issued in another turn gives nobody the host. */
  issue(turn: number): Beacon {
    this.#issuedMs = this.#now()
    void this.#beat()
    return this.#seal(`${Math.floor(this.#issuedMs)}.${turn}`)
  }

  /** Why a beacon is not good enough; undefined when it is. */
  objection(beacon: Beacon, turn?: number): string | undefined {
    const nowMs = this.#now()
    const [time = '', itsTurn = ''] = beacon.split('.')
    const expected = Buffer.from(this.#seal(`${time}.${itsTurn}`))
    const given = Buffer.from(beacon)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return 'its beacon was not issued by this agent process (restarted since?)'
    }
    if (Number(time) < Math.floor(this.#stoodStillUntilMs)) {
      return 'its beacon is from before this agent stood still (frozen, suspended, or its disk did not answer)'
    }
    const ageMs = nowMs - Number(time)
    if (ageMs > beaconAgeMs) return `its beacon is ${Math.round(ageMs / 1000)} s old; at most 30 s is trusted`
    if (turn !== undefined && Number(itsTurn) !== turn) return 'the host has been given or given back since'
    return undefined
  }

  /** Notes that this process runs for as long as a beacon of it may be quoted, so that it is noticed when it did not. */
  async #beat(): Promise<void> {
    if (this.#pulseMs !== undefined) return
    this.#pulseMs = this.#issuedMs
    try {
      while (this.#now() - this.#issuedMs <= beaconAgeMs) await this.#clock.sleep(pulseEveryMs, this.#closing)
    } catch {
      // Told to end.
    }
    this.#pulseMs = undefined
  }

  #now(): number {
    const nowMs = this.#clock.sinceBoot()
    if (this.#pulseMs === undefined) return nowMs
    // Looked at by whoever comes first: when a process goes on, its sockets may be read before its timers.
    if (nowMs - this.#pulseMs > stillMs) this.#stoodStillUntilMs = nowMs
    this.#pulseMs = nowMs
    return nowMs
  }

  #seal(content: string): Beacon {
    return `${content}.${createHmac('sha256', this.#secret).update(content).digest('base64url')}`
  }
}
