import { isHostStep, type Plan } from '../plan/plan.ts'
import type { RunEvent } from '../run/run-event.ts'

/** What goes on arriving although the run gets nowhere. */
const idle: ReadonlySet<RunEvent['type']> = new Set(['observed', 'claimed', 'silent'])

/** Beyond what the run itself waits for: questions on their way, hosts that claim and fall silent in turn. */
const graceMs = 60_000

/** A turn of the loop that takes longer does so because the process itself stood still, and nothing could move. */
const longestTurnMs = 1000

/**
 * Notices a session in which nothing moves any more although there is always something to ask: hosts that never all
 * answer at one time, services that take longer to look at than what is seen may be relied on. It ends with what it
 * has rather than never.
 */
export class Standstill {
  readonly #longestMs: number
  #turnedAtMs: number
  #stillMs = 0

  constructor(plan: Plan, patienceMs: number, nowMs: number) {
    const services = Object.values(plan.services).flatMap((one) => [one.startTimeoutMs, one.stopTimeoutMs])
    const hosts = plan.steps.filter(isHostStep).map(({ timeoutMs }) => timeoutMs)
    const longestMs = [...services, ...hosts].reduce((longest, one) => Math.max(longest, one), 0)
    this.#longestMs = patienceMs + longestMs + graceMs
    this.#turnedAtMs = nowMs
  }

  note(event: RunEvent): void {
    if (!idle.has(event.type)) this.#stillMs = 0
  }

  /** To be called at each turn of the loop: whether nothing has moved for longer than anything in the run may take. */
  isReached(nowMs: number): boolean {
    this.#stillMs += Math.min(nowMs - this.#turnedAtMs, longestTurnMs)
    this.#turnedAtMs = nowMs
    return this.#stillMs > this.#longestMs
  }
}
