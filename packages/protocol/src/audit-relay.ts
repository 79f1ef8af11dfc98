import type { AuditEvent } from './audit-event.ts'
import type { AuditLog } from './audit-log.ts'
import type { Transport } from './transport.ts'

/** Events on their way at once: enough that a round trip to the broker is not paid for each. */
const batchEvents = 128

const firstDelayMs = 100
const longestDelayMs = 10_000

/**
 * Publishes what a log has not relayed yet, in order, and what is appended later, until aborted. While the broker is
 * away, or the disk full, it tries again, ever more slowly, and never gives up: an outage only delays events. An
 * event may be published twice; consumers tell by source and sequence. Never throws: what is wrong with the database
 * is told by whoever has to write to it.
 */
export async function relay(log: AuditLog, transport: Transport, signal: AbortSignal): Promise<void> {
  let delayMs = firstDelayMs
  while (!signal.aborted) {
    const relayed = await relayBatch(log, transport).catch(() => 'in part' as const)
    if (relayed === 'nothing') await log.appended(signal)
    else if (relayed === 'all') delayMs = firstDelayMs
    else {
      await log.clock.sleep(delayMs, signal).catch(() => {})
      delayMs = Math.min(delayMs * 2, longestDelayMs)
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
