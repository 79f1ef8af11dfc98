import { cut, instanceName, type AuditDraft } from '@filo/protocol'
import { stepName, type Plan } from '../plan/plan.ts'
import type { RunEvent } from './run-event.ts'

const outcomes = {
  changed: 'success',
  unchanged: 'success',
  observed: 'success',
  unneeded: 'success',
} as const
const endings = {
  succeeded: 'success',
  waived: 'success',
  cancelled: 'unknown',
  unresolved: 'unknown',
  failed: 'failure',
  refused: 'refused',
} as const

/** The audit event that tells of an event of a run; undefined for what is only seen, not decided or done. */
export function auditOf(run: string, plan: Plan, event: RunEvent): AuditDraft | undefined {
  const draft = (type: string, subject: string, data: AuditDraft['data']): AuditDraft => ({
    type: `filo.${type}`,
    subject,
    data: { run, ...data, ...(data.reason !== undefined && { reason: cut(data.reason) }) },
  })
  switch (event.type) {
    case 'session-opened':
      return draft('run.opened', run, {
        operator: event.operator,
        session: event.session,
        policy: event.policy,
        verb: plan.intention.verb,
        selection: plan.intention.selection,
      })
    case 'session-ended':
      return draft('run.ended', run, { outcome: endings[event.outcome], result: event.outcome })
    case 'stopping':
      return draft('run.stopping', run, {
        operator: event.operator,
        result: event.why,
        ...(event.reason !== undefined && { reason: event.reason }),
      })
    case 'claimed':
      return draft('host.claimed', event.host, { outcome: 'success', grant: event.grant })
    case 'silent':
      return draft('host.silent', event.host, { outcome: 'unknown', reason: event.reason })
    case 'claim-refused':
      return draft('host.refused', event.host, { outcome: 'refused', reason: event.reason })
    case 'fenced':
      return draft('host.fenced', event.host, {
        outcome: 'refused',
        ...(event.holder && { by: event.holder.run }),
      })
    case 'observed':
      return undefined
    default: {
      const step = plan.steps[event.step]!
      const subject =
        step.kind === 'hook' ? instanceName(step.service, step.of) : instanceName(step.service, step.host)
      const about = {
        step: stepName(step),
        ...('action' in event && event.action && { action: event.action }),
      }
      return draft(`step.${event.type}`, subject, { ...about, ...detailOf(event) })
    }
  }
}

function detailOf(event: Extract<RunEvent, { readonly step: number }>): AuditDraft['data'] {
  switch (event.type) {
    case 'sent':
      return { grant: event.grant }
    case 'done':
      return { outcome: outcomes[event.outcome], result: event.outcome, reason: event.reason }
    case 'failed':
    case 'drifted':
      return { outcome: 'failure', reason: event.reason }
    case 'unknown':
      return { outcome: 'unknown', reason: event.reason }
    case 'sealed':
      return { outcome: 'refused', reason: event.reason }
    case 'waived':
      return { outcome: 'success', operator: event.operator, reason: event.reason }
    case 'amended':
      return { outcome: 'unknown', result: event.ending.outcome, reason: event.ending.reason }
    case 'running':
      return {}
  }
}
