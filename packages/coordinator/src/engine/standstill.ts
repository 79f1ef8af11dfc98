import type { Plan } from '../plan/plan.ts'
import type { RunEvent } from '../run/run-event.ts'

/** What goes on arriving although the run gets nowhere. */
const idle: ReadonlySet<RunEvent['type']> = new Set(['observed', 'claimed', 'silent'])

/** Beyond what the run itself waits for: questions on their way, hosts that claim and fall silent in turn. */
const graceMs = 60_000

/**
 * Notices a session in which nothing moves any more although there is always something to ask: hosts that never all
 * answer at one time, services that take longer to look at than what is seen may be relied on. It ends with what it
 * has rather than never.
 */
export class Standstill {
  readonly #longestMs: number
  #movedAtMs: number

  constructor(plan: Plan, patienceMs: number, nowMs: number) {
    const limits = Object.values(plan.services).flatMap((one) => [one.startTimeoutMs, one.stopTimeoutMs])
    this.#longestMs = patienceMs + Math.max(0, ...limits) + graceMs
    this.#movedAtMs = nowMs
  }

  note(event: RunEvent, nowMs: number): void {
    if (!idle.has(event.type)) this.#movedAtMs = nowMs
  }

  /** Whether nothing has moved for longer than anything in the run may take. */
  isReached(nowMs: number): boolean {
    return nowMs - this.#movedAtMs > this.#longestMs
  }
}
