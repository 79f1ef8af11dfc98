import { cut, instanceName, type AuditDataOf, type AuditDraft, type AuditType } from '@filo/protocol'
import { isHostStep, stepName, type Plan, type Step } from '../plan/plan.ts'
import { waitersOf } from '../plan/waiters.ts'
import type { RunEvent, StepEvent } from './run-event.ts'

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
  const draft = draftsOf(run)
  switch (event.type) {
    case 'session-opened':
      return draft('filo.run.opened', run, {
        operator: event.operator,
        session: event.session,
        policy: event.policy,
        verb: plan.intention.verb,
        selection: plan.intention.selection,
      })
    case 'session-ended':
      return draft('filo.run.ended', run, { outcome: endings[event.outcome], result: event.outcome })
    case 'stopping':
      return draft('filo.run.stopping', run, {
        operator: event.operator,
        result: event.why,
        ...(event.reason !== undefined && { reason: event.reason }),
      })
    case 'claimed':
      return draft('filo.host.claimed', event.host, { outcome: 'success', grant: event.grant })
    case 'silent':
      return draft('filo.host.silent', event.host, { outcome: 'unknown', reason: event.reason })
    case 'claim-refused':
      return draft('filo.host.refused', event.host, { outcome: 'refused', reason: event.reason })
    case 'fenced':
      return draft('filo.host.fenced', event.host, {
        outcome: 'refused',
        ...(event.holder && { by: event.holder.run }),
      })
    case 'rebooted':
      return draft('filo.host.rebooted', event.host, { boot: event.boot, seenAt: event.seenAt })
    case 'observed':
      return undefined
    default:
      return stepDraft(draftsOf(run), plan, event)
  }
}

type Told<Type extends AuditType> = Omit<AuditDataOf<Type>, 'run'>

/** Makes the drafts of a run. */
function draftsOf(run: string) {
  return <Type extends AuditType>(type: Type, subject: string, told: Told<Type>): AuditDraft => {
    const { reason } = told as { readonly reason?: string }
    const data = { run, ...told, ...(reason !== undefined && { reason: cut(reason) }) }
    // That a type goes with its data is told by the parameters, which a union cannot follow.
    return { type, subject, data } as AuditDraft
  }
}

function stepDraft(draft: ReturnType<typeof draftsOf>, plan: Plan, event: StepEvent): AuditDraft {
  const step = plan.steps[event.step]!
  const subject = subjectOf(step)
  const about = {
    step: stepName(step),
    ...('action' in event && event.action && { action: event.action }),
  }
  switch (event.type) {
    case 'sent':
      return draft('filo.step.sent', subject, { ...about, action: event.action, grant: event.grant })
    case 'going-down':
      return draft('filo.step.going-down', subject, {
        ...about,
        action: event.action,
        hasLeft: event.hasLeft,
      })
    case 'running':
      return draft('filo.step.running', subject, { ...about, action: event.action })
    case 'done':
      return draft('filo.step.done', subject, {
        ...about,
        outcome: 'success',
        result: event.outcome,
        reason: event.reason,
      })
    case 'failed':
    case 'drifted':
      return draft(`filo.step.${event.type}`, subject, {
        ...about,
        outcome: 'failure',
        reason: event.reason,
      })
    case 'unknown':
      return draft('filo.step.unknown', subject, { ...about, outcome: 'unknown', reason: event.reason })
    case 'sealed':
      return draft('filo.step.sealed', subject, {
        ...about,
        action: event.action,
        outcome: 'refused',
        reason: event.reason,
      })
    case 'waived':
      return draft('filo.step.waived', subject, {
        ...about,
        opens: gatesOf(plan, event.step),
        outcome: 'success',
        operator: event.operator,
        reason: event.reason,
      })
    case 'amended':
      return draft('filo.step.amended', subject, {
        ...about,
        action: event.action,
        outcome: 'unknown',
        result: event.ending.outcome,
        reason: event.ending.reason,
      })
  }
}

/** As many as fit into an event beside all else. */
const gatesNamed = 50

/** The steps that a waiver no longer keeps from being sent. */
function gatesOf(plan: Plan, step: number): string[] {
  const names = waitersOf(plan, step).map((index) => stepName(plan.steps[index]!))
  return names.length <= gatesNamed
    ? names
    : [...names.slice(0, gatesNamed), `and ${names.length - gatesNamed} more`]
}

function subjectOf(step: Step): string {
  if (isHostStep(step)) return step.host
  return instanceName(step.service, step.kind === 'hook' ? step.of : step.host)
}
