import type { AuditEvent } from './audit-event.ts'
import type { AuditLog } from './audit-log.ts'
import type { Transport } from './transport.ts'

/** Events on their way at once: enough that a round trip to the broker is not paid for each. */
const batchEvents = 512

/** How long events gather before they are relayed: nobody waits for them, and what is acted on comes first. */
const gatherMs = 250

const firstDelayMs = 100
const longestDelayMs = 10_000

/**
 * Publishes what a log has not relayed yet, in order, and what is appended later, until it is disposed. While the broker
 * is away, or the disk full, it tries again, ever more slowly, and never gives up: an outage only delays events. An
 * event may be published twice; consumers tell by source and sequence. Never throws: what is wrong with the database
 * is told by whoever has to write to it.
 */
export class Relay implements AsyncDisposable {
  readonly #log: AuditLog
  readonly #transport: Transport
  readonly #ended = new AbortController()
  /** Aborted when what is left is all there is to relay. */
  readonly #hurry = new AbortController()
  readonly #running: Promise<void>

  constructor(log: AuditLog, transport: Transport) {
    this.#log = log
    this.#transport = transport
    this.#running = this.#run()
  }

  /** Relays all that is left, and ends; after `timeoutMs` it ends all the same, and what is left is for the next one. */
  async drain(timeoutMs: number): Promise<void> {
    this.#hurry.abort('what is left is relayed now')
    const waiting = new AbortController()
    const timeUp = this.#log.clock.sleep(timeoutMs, waiting.signal).catch(() => {})
    await Promise.race([this.#running, timeUp])
    waiting.abort('it is over')
  }

  /** Ends; what is left is for the next one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort('the relay has ended')
    this.#hurry.abort('the relay has ended')
    await this.#running
  }

  async #run(): Promise<void> {
    let delayMs = firstDelayMs
    while (!this.#ended.signal.aborted) {
      // Before it is looked for: what is appended meanwhile is left too.
      const isLast = this.#hurry.signal.aborted
      const relayed = await relayBatch(this.#log, this.#transport).catch(() => 'in part' as const)
      if (relayed === 'nothing') {
        if (isLast) return
        await this.#log.appended(this.#hurry.signal)
        await this.#log.clock.sleep(gatherMs, this.#hurry.signal).catch(() => {})
      } else if (relayed === 'all') delayMs = firstDelayMs
      else {
        await this.#log.clock.sleep(delayMs, this.#ended.signal).catch(() => {})
        delayMs = Math.min(delayMs * 2, longestDelayMs)
      }
    }
  }
}

async function relayBatch(log: AuditLog, transport: Transport): Promise<'nothing' | 'all' | 'in part'> {
  const events = log.unrelayed(batchEvents)
  if (events.length === 0) return 'nothing'
  const confirmed = await publishAll(transport, events)
  const last = confirmed.at(-1)
  if (last !== undefined) log.markRelayed(last.sequence)
  return confirmed.length === events.length ? 'all' : 'in part'
}

/** The events up to the first that was not confirmed: what comes after it is published again. */
async function publishAll(transport: Transport, events: readonly AuditEvent[]): Promise<AuditEvent[]> {
  const outcomes = await Promise.allSettled(events.map((event) => transport.publish(event)))
  const failed = outcomes.findIndex((outcome) => outcome.status === 'rejected')
  return events.slice(0, failed === -1 ? events.length : failed)
}
