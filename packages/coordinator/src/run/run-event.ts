import { Ending, Grant, Holder, Id, Name, Observation } from '@filo/protocol'
import * as z from 'zod'

// What the journal holds. Each event is a fact that was made durable before anything was done about it (R1); a
// run's state is the fold of them, and nothing else (R2).

/** A step by its place in the plan. */
const step = { step: z.int().nonnegative() }

/**
 * An observation and what is needed to judge whether it may open a gate (R3): who asked and when, and which life
 * of which host answered.
 */
export const Proof = z.strictObject({
  observation: Observation,
  /** The session of the run that asked: the clock of another coordinator process means nothing here. */
  session: z.int().positive(),
  /** When it was asked for, by that session's monotonic clock, milliseconds: for what an action saw, when it was sent. */
  askedAtMs: z.number(),
  incarnation: Id,
  boot: Id,
  /** The agent's answer number: of two observations from one incarnation, the newer has the higher. */
  answer: z.int().positive(),
})
export type Proof = z.infer<typeof Proof>

/** What to do after a failure (R7): send nothing new, or only what does not depend on it. */
export const FailurePolicy = z.enum(['hold', 'continue'])
export type FailurePolicy = z.infer<typeof FailurePolicy>

/** A coordinator process takes the run up: the first when it is made, one more at each resume. */
export const SessionOpened = z.strictObject({
  type: z.literal('session-opened'),
  session: z.int().positive(),
  coordinator: Id,
  operator: z.string(),
  policy: FailurePolicy,
  /** How long a silent host or an unknown step is asked again before the session ends, milliseconds. */
  patienceMs: z.number().nonnegative(),
  /** The session's monotonic clock as it began, milliseconds. */
  atMs: z.number(),
})

/** A host's agent granted us the host. */
export const Claimed = z.strictObject({
  type: z.literal('claimed'),
  host: Name,
  grant: Grant,
  ledger: Id,
  incarnation: Id,
  boot: Id,
})

/** A host did not answer; `atMs` by the session's clock. */
export const Silent = z.strictObject({
  type: z.literal('silent'),
  host: Name,
  reason: z.string(),
  atMs: z.number(),
})

/** A host's agent refuses us the host. */
export const ClaimRefused = z.strictObject({
  type: z.literal('claim-refused'),
  host: Name,
  reason: z.string(),
  holder: Holder.nullable(),
  /** It is the host's own policy that forbids it. */
  isForbidden: z.literal(true).optional(),
})

/** A host's agent gave the host to somebody else while we held it (R8). */
export const Fenced = z.strictObject({
  type: z.literal('fenced'),
  host: Name,
  holder: Holder.nullable(),
})

/**
 * A host answers from another boot than before, and no step of this run was to bring that about. What was proven in the
 * boot that has ended is looked at again.
 */
export const Rebooted = z.strictObject({
  type: z.literal('rebooted'),
  host: Name,
  boot: Id,
  /** The host's wall clock when it answered from there first; only ever printed. */
  seenAt: z.iso.datetime(),
})

/** An instance was seen; proves, contradicts or resolves nothing by itself. */
export const Observed = z.strictObject({
  type: z.literal('observed'),
  service: Name,
  host: Name,
  proof: Proof,
})

/** About to leave (R1). */
export const Sent = z.strictObject({
  type: z.literal('sent'),
  ...step,
  action: Id,
  grant: Grant,
  /** The ledger that gave the grant: only its seal is believed (R6). */
  ledger: Id,
  /** By the session's clock: what the action will prove was asked for then. */
  atMs: z.number(),
  /** Of a reboot or halt: the boot that is to end, and wall time, which is only ever printed. */
  going: z.strictObject({ boot: Id, since: z.iso.datetime() }).optional(),
})

/**
 * The agent says that its host goes down: the command for it has ended well. `hasLeft`: and that it has been told to end
 * itself, which is the last that is heard of it.
 */
export const GoingDown = z.strictObject({
  type: z.literal('going-down'),
  ...step,
  action: Id,
  hasLeft: z.boolean(),
  /** When that was heard, by the session's clock. */
  atMs: z.number(),
})

/** The step's state is proven, or its hook ran or had nothing to do, or its host has booted or is gone. */
export const Done = z.strictObject({
  type: z.literal('done'),
  ...step,
  action: Id.optional(),
  outcome: z.enum(['changed', 'unchanged', 'observed', 'unneeded']),
  reason: z.string(),
  proof: Proof.optional(),
  durationMs: z.number().optional(),
})

export const Failed = z.strictObject({
  type: z.literal('failed'),
  ...step,
  action: Id.optional(),
  reason: z.string(),
  ending: Ending.optional(),
  proof: Proof.optional(),
})

/** Nobody knows whether the action took effect (R4); `atMs` by the session's clock. */
export const Unknown = z.strictObject({
  type: z.literal('unknown'),
  ...step,
  action: Id.optional(),
  reason: z.string(),
  atMs: z.number(),
})

/** The agent's word that the action never started and never will (R6). */
export const SealedEvent = z.strictObject({
  type: z.literal('sealed'),
  ...step,
  action: Id,
  reason: z.string(),
  /** Not before this time of the session's clock is a new action sent. */
  retryAtMs: z.number(),
})

/** The agent says that an action nobody had heard of is under way after all. */
export const Running = z.strictObject({ type: z.literal('running'), ...step, action: Id })

/** A newer observation contradicts what was proven (R3). */
export const Drifted = z.strictObject({
  type: z.literal('drifted'),
  ...step,
  reason: z.string(),
  proof: Proof,
})

/** An operator opens the gate without proof. */
export const Waived = z.strictObject({
  type: z.literal('waived'),
  ...step,
  operator: z.string(),
  reason: z.string(),
})

/** A late word about an action whose step had ended: recorded beside it, never instead of it. */
export const Amended = z.strictObject({ type: z.literal('amended'), ...step, action: Id, ending: Ending })

/** Nothing new will be sent in this session. */
export const Stopping = z.strictObject({
  type: z.literal('stopping'),
  why: z.enum(['cancelled', 'interrupted']),
  operator: z.string(),
  /** Why the operator cancelled it, if they said. */
  reason: z.string().optional(),
})

/** What the session came to. */
export const RunOutcome = z.enum(['succeeded', 'waived', 'cancelled', 'unresolved', 'failed', 'refused'])
export type RunOutcome = z.infer<typeof RunOutcome>

export const SessionEnded = z.strictObject({ type: z.literal('session-ended'), outcome: RunOutcome })

export const RunEvent = z.discriminatedUnion('type', [
  SessionOpened,
  Claimed,
  Silent,
  ClaimRefused,
  Fenced,
  Rebooted,
  Observed,
  Sent,
  GoingDown,
  Done,
  Failed,
  Unknown,
  SealedEvent,
  Running,
  Drifted,
  Waived,
  Amended,
  Stopping,
  SessionEnded,
])
export type RunEvent = z.infer<typeof RunEvent>
/** The events that move a step from one phase to another. */
export type StepEvent = Extract<RunEvent, { readonly step: number }>
