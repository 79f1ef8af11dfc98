import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

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
  sleep,
}

/**
 * The first figure of /proc/uptime (proc(5)), the boot clock, which goes on while the machine is suspended; Node's own
 * clocks do not (clock_gettime(2), CLOCK_MONOTONIC).
 */
function sinceBoot(): number {
  return uptime() * 1000
}

/** Most sleeps are cut short: that makes no error of its own, with a stack that nobody reads. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const wake = (): void => {
    clearTimeout(timer)
    reject(signal!.reason)
  }
  const timer = setTimeout(() => {
    signal?.removeEventListener('abort', wake)
    resolve()
  }, ms)
  if (signal?.aborted) wake()
  else signal?.addEventListener('abort', wake, { once: true })
  return promise
}

/** The kernel's name for this boot (random(4)): another one after each boot, and in each container with a boot of its own. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
