import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Time as the rest of Filo sees it (R14). Production, tests and the simulation each bring one. */
export interface Clock {
  /** Monotonic milliseconds. Every duration is a difference of two of these. */
  now(): number
  /** Milliseconds since the host booted, counting the time it was suspended: the age of a beacon (R9). */
  sinceBoot(): number
  /** Wall time; only ever printed. */
  wall(): Date
  /** Resolves after `ms`; rejects with the signal's reason once it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sinceBoot,
  wall: () => new Date(),
  sleep: (ms, signal) => delay(ms, undefined, signal && { signal }),
}

/**
 * proc(5): the first figure of /proc/uptime is the boot clock, which goes on while the machine is suspended;
 * Node's own clocks do not (clock_gettime(2), CLOCK_MONOTONIC).
 */
function sinceBoot(): number {
  const seconds = Number.parseFloat(readFileSync('/proc/uptime', 'utf8'))
  if (!Number.isFinite(seconds)) throw new Error('/proc/uptime does not begin with a number')
  return seconds * 1000
}
