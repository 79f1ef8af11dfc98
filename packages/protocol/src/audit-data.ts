import * as z from 'zod'
import { AuditEvent, SourceHead, type AuditOutcome } from './audit-event.ts'
import { HookPoint } from './definition.ts'
import { limits } from './limits.ts'
import { Grant, Outcome } from './messages.ts'
import { Id, RunId, Sha256, StepTitle } from './names.ts'
import { Observation } from './state.ts'

// What the events of each type say. The events of one source are told apart by their numbers; what belongs together
// across sources is told by `run`, `step` and `action`.

const common = {
  run: RunId,
  /** How the chains of others ended when they were last heard of. */
  heads: z.array(SourceHead).max(limits.headsPerEvent).optional(),
}
const operator = z.string().max(200)
const reason = z.string().max(limits.textChars)
const selection = z.array(z.string())
const outcome = <Value extends AuditOutcome>(...values: [Value, ...Value[]]) => z.enum(values)
const verb = z.enum(['start', 'stop', 'restart', 'reboot', 'halt'])

/** Of a step; an action is one attempt at it. */
const step = { ...common, step: StepTitle, action: Id.optional() }
const sentStep = { ...step, action: Id }
/** Of an action, as its agent tells it. */
const action = { ...common, action: Id, operator }

/** Entries of a source that a consumer lacks. */
const missing = { source: SourceHead.shape.source, first: z.int().positive(), last: z.int().positive() }

const data = <Shape extends z.ZodRawShape>(description: string, shape: Shape) =>
  z.strictObject(shape).meta({ description })

/** What the data of each type of event hold. */
export const auditData = {
  'filo.key.changed': data('A key of a coordinator or host was made, accepted, replaced or revoked.', {
    heads: common.heads,
    operator,
    outcome: outcome('success'),
    change: z.enum(['made', 'accepted', 'rotated', 'revoked']),
    fingerprint: Sha256,
  }),
  'filo.run.ordered': data('An operator ordered a run: a plan, named by its hash, to be carried out.', {
    ...common,
    operator,
    reason: reason.optional(),
    plan: Sha256,
    verb,
    selection,
    undoes: RunId.optional(),
  }),
  'filo.run.opened': data('A process begins to carry a run out, or to carry on with it.', {
    ...common,
    operator,
    session: z.int().positive(),
    policy: z.enum(['hold', 'continue']),
    verb,
    selection,
  }),
  'filo.run.stopping': data('Nothing new is sent any more in this session.', {
    ...common,
    operator,
    result: z.enum(['cancelled', 'interrupted']),
    reason: reason.optional(),
  }),
  'filo.run.ended': data('A session of a run has ended.', {
    ...common,
    outcome: outcome('success', 'failure', 'unknown', 'refused'),
    result: z.enum(['succeeded', 'waived', 'cancelled', 'unresolved', 'failed', 'refused']),
  }),
  'filo.run.released': data(
    'The hosts of a run have been given back; this keeps how their chains end.',
    common,
  ),
  'filo.host.claimed': data('A host has given itself to the run.', {
    ...common,
    outcome: outcome('success'),
    grant: Grant,
  }),
  'filo.host.silent': data('A host does not answer.', { ...common, outcome: outcome('unknown'), reason }),
  'filo.host.refused': data('A host refuses itself to the run.', {
    ...common,
    outcome: outcome('refused'),
    reason,
  }),
  'filo.host.fenced': data('A host has been given to somebody else while the run held it.', {
    ...common,
    outcome: outcome('refused'),
    by: RunId.optional(),
  }),
  'filo.host.rebooted': data('A host answers from another boot.', {
    ...common,
    boot: Id,
    seenAt: z.iso.datetime(),
  }),
  'filo.step.sent': data('An action of a step is about to be sent.', { ...sentStep, grant: Grant }),
  'filo.step.going-down': data('The host of a reboot or halt has begun to go down, or has gone.', {
    ...sentStep,
    hasLeft: z.boolean(),
  }),
  'filo.step.running': data('An action that nobody had heard of is under way after all.', sentStep),
  'filo.step.done': data("A step's state is proven.", {
    ...step,
    outcome: outcome('success'),
    result: z.enum(['changed', 'unchanged', 'observed', 'unneeded']),
    reason,
  }),
  'filo.step.failed': data('A step has failed.', { ...step, outcome: outcome('failure'), reason }),
  'filo.step.drifted': data('What was proven of a step is contradicted by what was seen later.', {
    ...step,
    outcome: outcome('failure'),
    reason,
  }),
  'filo.step.unknown': data('Nobody knows what an action came to.', {
    ...step,
    outcome: outcome('unknown'),
    reason,
  }),
  'filo.step.sealed': data('An agent has given its word that an action never began and never will.', {
    ...sentStep,
    outcome: outcome('refused'),
    reason,
  }),
  'filo.step.waived': data(
    'An operator has a step counted as done without proof; `opens` are the steps that it held.',
    {
      ...step,
      outcome: outcome('success'),
      operator,
      reason,
      opens: z.array(z.string()),
    },
  ),
  'filo.step.amended': data('A late word about an action whose step had ended.', {
    ...sentStep,
    outcome: outcome('unknown'),
    result: Outcome,
    reason,
  }),
  'filo.claim.granted': data('An agent has given its host to a run; `from` is who held it until then.', {
    ...common,
    operator,
    outcome: outcome('success'),
    grant: Grant,
    takeOver: z.enum(['no', 'run', 'any']),
    from: z.strictObject({ run: RunId, grant: Grant, operator }).optional(),
  }),
  'filo.claim.refused': data('An agent has refused its host to a run.', {
    ...common,
    operator,
    outcome: outcome('refused'),
    reason,
  }),
  'filo.claim.released': data('A run has given a host back to its agent.', {
    ...common,
    operator,
    outcome: outcome('success'),
  }),
  'filo.action.started': data('An agent begins an action.', {
    ...action,
    step: StepTitle,
    verb: z.enum(['start', 'stop', 'hook', 'reboot', 'halt']),
    hook: HookPoint.optional(),
  }),
  'filo.action.finished': data('An action is over; `after` is what was seen then.', {
    ...action,
    step: StepTitle,
    outcome: outcome('success', 'failure', 'unknown'),
    ending: Outcome,
    reason,
    after: Observation.pick({ state: true, live: true }).optional(),
  }),
  'filo.action.sealed': data('An agent has barred an action that never began from ever beginning.', {
    ...action,
    outcome: outcome('refused'),
    reason,
  }),
  'filo.trail.missing': data(
    'A consumer lacks entries of a source, from `first` to `last`, and the source did not give them when it was asked.',
    {
      heads: common.heads,
      operator,
      outcome: outcome('unknown'),
      consumer: z.string().max(200),
      ...missing,
      reason,
    },
  ),
  'filo.trail.completed': data('A consumer has been given the last of the entries that it lacked.', {
    heads: common.heads,
    operator,
    outcome: outcome('success'),
    consumer: z.string().max(200),
    ...missing,
  }),
} as const
export type AuditType = keyof typeof auditData

/** What the code that causes an event of a type says of it. */
export type AuditDataOf<Type extends AuditType> = Omit<z.infer<(typeof auditData)[Type]>, 'heads'>

/** What the code that causes an event says of it; the log adds source, time, sequence, hashes and heads. */
export type AuditDraft = {
  [Type in AuditType]: { readonly type: Type; readonly subject: string; readonly data: AuditDataOf<Type> }
}[AuditType]

/** The JSON Schema of the events of a type, for those who consume them. Checked in below `schemas/`. */
export function auditJsonSchema(type: AuditType): string {
  const { description } = auditData[type].meta()!
  const schema = z.toJSONSchema(AuditEvent.extend({ type: z.literal(type), data: auditData[type] }))
  return `${JSON.stringify({ title: type, description, ...schema }, undefined, 2)}\n`
}
