import type { AuditDraft } from './audit-data.ts'
import type { AuditEvent } from './audit-event.ts'
import { AuditTrail, type AuditFault } from './audit-trail.ts'

/** What an auditor says of events that are said to be the chain of one source. */
export function faultsIn(events: Iterable<AuditEvent>): readonly AuditFault[] {
  const entries = [...events].map((event, at) => ({ place: `entry ${at + 1}`, text: JSON.stringify(event) }))
  const trail = new AuditTrail()
  trail.take({ name: 'the chain', kind: 'chain', entries })
  return trail.conclude().faults
}

/** An event of no account. */
export function aDraft(subject = 'x'): AuditDraft {
  const run = 'r20260101-000000-test'
  return { type: 'filo.claim.released', subject, data: { run, operator: 'x', outcome: 'success' } }
}
