import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Beacon, Clock } from '@filo/protocol'

/** How old a beacon may be when an action starts, by the boot clock (R9), milliseconds. */
export const beaconAgeMs = 30_000

/**
 * R9. A command must quote a beacon that this very process issued a short while ago by its own boot clock, which
 * goes on while the machine is suspended. A beacon carries its time and a code that only this process can make, so
 * that none has to be remembered, and those of an earlier process are worth nothing.
 */
export class Beacons {
  readonly #secret = randomBytes(32)
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  issue(): Beacon {
    return this.#seal(String(Math.floor(this.#clock.sinceBoot())))
  }

  /** Why a beacon is not good enough; undefined when it is. */
  objection(beacon: Beacon): string | undefined {
    const time = beacon.split('.')[0] ?? ''
    const expected = Buffer.from(this.#seal(time))
    const given = Buffer.from(beacon)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return 'its beacon was not issued by this agent process (restarted since?)'
    }
    const ageMs = this.#clock.sinceBoot() - Number(time)
    if (ageMs > beaconAgeMs) return `its beacon is ${Math.round(ageMs / 1000)} s old; at most 30 s is trusted`
    return undefined
  }

  #seal(time: string): Beacon {
    return `${time}.${createHmac('sha256', this.#secret).update(time).digest('base64url')}`
  }
}
