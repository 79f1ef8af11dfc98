import * as z from 'zod'
import { AuditEvent, AuditHead, SourceHead } from './audit-event.ts'
import { HookPoint } from './definition.ts'
import { limits } from './limits.ts'
import { Id, Name, RunId, Sha256, StepTitle } from './names.ts'
import { Observation } from './state.ts'

// Every message of DESIGN section 8. A command carries names, never code: nothing here reaches an argv.

const Text = z.string().max(limits.textChars)
const Services = z.array(Name).max(limits.servicesPerMessage)

/** A service by its name, a hook as `service:point`, or `powerName`. */
const DefinitionName = z.string().max(80)

/** A number that a host's ledger gives to a claim; it only rises (R8). */
export const Grant = z.int().positive()
export type Grant = z.infer<typeof Grant>

/** A random token in every answer of an agent; a command must quote a fresh one (R9). */
export const Beacon = z.string().max(200)
export type Beacon = z.infer<typeof Beacon>

// ---- to an agent ----------------------------------------------------------------------------------------------

const command = {
  fleet: Name,
  host: Name,
  /** Where the answer goes. */
  coordinator: Id,
  /** Who asks: `alice@admin1`. */
  operator: z.string().max(200),
  /** Two commands that say the same are still two: their answers are told apart by the hash of the command. */
  nonce: Id,
  /** How the coordinator's audit log ends; null from a process that only looks, and keeps none. */
  head: SourceHead.extend({ source: z.string().regex(/^\/coordinators\/[0-9a-z-]{1,80}$/) }).nullable(),
}

/** What is done to a host as a whole: it ends its boot, with another one or without. */
export const HostVerb = z.enum(['reboot', 'halt'])
export type HostVerb = z.infer<typeof HostVerb>

const serviceTask = { verb: z.enum(['start', 'stop']), service: Name }
const hookTask = { verb: z.literal('hook'), service: Name, hook: HookPoint }

/** What a run has in mind for a host: what an action will be asked to do. */
export const Task = z.discriminatedUnion('verb', [
  z.strictObject(serviceTask),
  z.strictObject(hookTask),
  z.strictObject({ verb: HostVerb }),
])
export type Task = z.infer<typeof Task>

/** Asks to act on the host for a run, or renews. Answered by a report with the grant, or refused. */
export const Claim = z.strictObject({
  ...command,
  run: RunId,
  /** `run`: from an earlier coordinator of the same run, which is dead; `any`: from whoever holds it. */
  takeOver: z.enum(['no', 'run', 'any']),
  /** Services, hooks and power whose definitions the run relies on: the answer has their digests. */
  definitions: z.array(DefinitionName).max(limits.servicesPerMessage),
  /** What the run is going to ask for: a host whose policy forbids any of it does not give itself. */
  tasks: z.array(Task).max(limits.servicesPerMessage),
  /** One that was issued since the host was last given or given back; empty where none is known, to be told one. */
  beacon: Beacon,
})
export type Claim = z.infer<typeof Claim>

/** Asks what the services are doing. Never queued behind an action (R11). */
export const Observe = z.strictObject({
  ...command,
  services: Services,
  /** Whether to watch until each service's settle time is vouched for. */
  settle: z.boolean(),
})
export type Observe = z.infer<typeof Observe>

const action = {
  ...command,
  run: RunId,
  step: StepTitle,
  action: Id,
  /** The digest of the definition that the coordinator believes in. */
  definition: Sha256,
  grant: Grant,
  beacon: Beacon,
}

/** One attempt at a step. Takes effect at most once however often it arrives (R5). */
export const Act = z.discriminatedUnion('verb', [
  z.strictObject({ ...action, ...serviceTask }),
  z.strictObject({ ...action, ...hookTask }),
  /** `boot` is the one that is to end: in any other the command means nothing, and is refused. */
  z.strictObject({ ...action, verb: HostVerb, boot: Id }),
])
export type Act = z.infer<typeof Act>

/** Asks what became of actions; only reads the ledger. */
export const Inquire = z.strictObject({
  ...command,
  run: RunId,
  actions: z.array(Id).max(limits.actionsPerMessage),
})
export type Inquire = z.infer<typeof Inquire>

/**
 * Bars an action that never started from ever starting (R6). `grant` is the one that the action was sent under: a ledger
 * that has forgotten actions of that grant cannot say that this one never started.
 */
export const Seal = z.strictObject({ ...command, run: RunId, action: Id, grant: Grant })
export type Seal = z.infer<typeof Seal>

/** Ends the waiting for an action as its deadline would: kill what it runs, then observe. */
export const Abort = z.strictObject({ ...command, run: RunId, action: Id, grant: Grant })
export type Abort = z.infer<typeof Abort>

/**
 * Asks for entries of the agent's audit chain again, which a consumer lacks: those after one number and up to another.
 * Only reads the ledger; answered by an excerpt.
 */
export const Recall = z.strictObject({
  ...command,
  after: z.int().nonnegative(),
  through: z.int().positive(),
})
export type Recall = z.infer<typeof Recall>

/** Gives the host back. */
export const Release = z.strictObject({ ...command, run: RunId, grant: Grant })
export type Release = z.infer<typeof Release>

// ---- from an agent --------------------------------------------------------------------------------------------

/** In every answer: who speaks, from which life of which host, and how its audit log ends. */
const voice = {
  fleet: Name,
  host: Name,
  coordinator: Id,
  /** SHA-256 of the payload of the command that is answered. */
  inReplyTo: Sha256,
  /** This agent process; a new one each time it starts. */
  incarnation: Id,
  /** The kernel's boot id (random(4), /proc/sys/kernel/random/boot_id). */
  boot: Id,
  /** The ledger's own random id, made when it was first created; null where the agent only observes. */
  ledger: Id.nullable(),
  /** Rises with every answer of an incarnation: which of two observations is newer. */
  answer: z.int().positive(),
  beacon: Beacon,
  /** The host's wall clock; only compared for `doctor`, and printed. */
  clock: z.iso.datetime(),
  head: AuditHead,
}

/** Who holds a host. */
export const Holder = z.strictObject({
  run: RunId,
  grant: Grant,
  coordinator: Id,
  operator: z.string().max(200),
  since: z.iso.datetime(),
})
export type Holder = z.infer<typeof Holder>

/** What a process printed: the beginning, the end, and how much between them was dropped. */
export const Output = z.strictObject({
  head: z.string().max(limits.outputHeadBytes),
  tail: z.string().max(limits.outputTailBytes),
  droppedBytes: z.int().nonnegative(),
})
export type Output = z.infer<typeof Output>

/**
 * How an action came out, named by what the coordinator does next. `changed`, `unchanged`: the state is proven; of a
 * reboot or halt, that the host has booted since.
 * `failed`: it is not, and nothing of the action lives. `interrupted`: the agent died in it, the state was not
 * reached, and nothing of it lives. `unproven`: it ended and nothing of it lives, but nobody can see what it came
 * to. `overdue`: its time is up but something of it still lives; not the last word.
 */
export const Outcome = z.enum(['changed', 'unchanged', 'failed', 'interrupted', 'unproven', 'overdue'])
export type Outcome = z.infer<typeof Outcome>

/** What an action came to. */
export const Ending = z.strictObject({
  outcome: Outcome,
  /** What happened, for a person. */
  reason: Text,
  /** What was seen afterwards of the service; absent for all but starts and stops. */
  observation: Observation.optional(),
  output: Output.optional(),
  durationMs: z.number().nonnegative(),
})
export type Ending = z.infer<typeof Ending>

/**
 * What an agent knows of an action. `never-heard`: it is not in this ledger. `forgotten`: it is too old to tell. `started`: it runs; `overdue`: it runs
 * although its time is up.
 */
export const ActionRecord = z.strictObject({
  action: Id,
  status: z.enum(['never-heard', 'forgotten', 'started', 'overdue', 'finished', 'sealed']),
  ending: Ending.optional(),
})
export type ActionRecord = z.infer<typeof ActionRecord>

export const Sighted = z.strictObject({
  service: Name,
  definition: Sha256,
  observation: Observation,
  /** How long after the question had come in the look began that saw it, milliseconds. */
  lookedAfterMs: z.number().nonnegative(),
})
export type Sighted = z.infer<typeof Sighted>

/** Why a host's agent begins nothing at all, whoever asks, and until when by its own clock; null: until somebody there ends it. */
export const Freeze = z.strictObject({ until: z.iso.datetime().nullable(), why: Text })
export type Freeze = z.infer<typeof Freeze>

/** Answers `claim`, `observe`, `inquire`, `seal`, `release`. */
export const Report = z.strictObject({
  ...voice,
  /** The agent's own key (SPKI, base64), for who does not know it yet. Worth nothing until an operator has compared its fingerprint. */
  publicKey: z.string().max(100),
  /** By which of the coordinator's keys the command was taken. */
  takenBy: Sha256,
  /** Null where its policy freezes nothing. */
  freeze: Freeze.nullable(),
  /** Which rights its agent lacks for what its configuration has it do; null where it lacks none. */
  lack: Text.nullable(),
  /** Who holds the host now. */
  holder: Holder.nullable(),
  observations: z.array(Sighted).max(limits.servicesPerMessage),
  actions: z.array(ActionRecord).max(limits.actionsPerMessage),
  /** The digests that were asked for; one that is missing is not in the agent's configuration. */
  definitions: z.record(DefinitionName, Sha256),
})
export type Report = z.infer<typeof Report>

/**
 * A sign of life of an action at least every 5 s, with what it printed meanwhile (R11). Of a reboot or halt: `waiting`
 * once its command has ended well, and then `leaving`, the last word of an agent that is ended as its host goes down.
 */
export const Progress = z.strictObject({
  ...voice,
  run: RunId,
  step: StepTitle,
  action: Id,
  phase: z.enum(['acting', 'waiting', 'settling', 'overdue', 'leaving']),
  lines: z.array(z.string().max(limits.progressLineChars)).max(limits.progressLines),
})
export type Progress = z.infer<typeof Progress>

/** What an action came to; bound to its command by `inReplyTo`. */
export const Result = z.strictObject({
  ...voice,
  /** Told from the ledger to a copy of the command: what was seen then may have changed since. */
  isRepeated: z.boolean(),
  run: RunId,
  step: StepTitle,
  action: Id,
  ending: Ending,
})
export type Result = z.infer<typeof Result>

/**
 * Answers `recall`: the entries that were asked for as they stand in the ledger, from the first on and without a gap, as
 * many as fit; none where the ledger has no such entry. Where its chain ends, `head` says.
 */
export const Excerpt = z.strictObject({
  ...voice,
  entries: z.array(AuditEvent).max(limits.entriesPerMessage),
})
export type Excerpt = z.infer<typeof Excerpt>

/** Why an agent did not do what it was asked. */
export const RefusalReason = z.enum([
  'claimed', // another run holds the host
  'grant', // the grant quoted is not the highest
  'beacon', // too old, or of another agent process
  'busy', // the instance has an action that has not finished, or the host goes down
  'boot', // the boot that was to end has ended already
  'sealed', // the action was barred before
  'definition', // the agent has another definition
  'unknown-service', // not in this agent's configuration
  'own-branch', // the agent's own process is part of the service
  'policy', // the agent's local policy forbids it
  'rights', // sudo does not let the agent do it
  'storage', // the ledger cannot be written
  'observer', // this agent only observes
])
export type RefusalReason = z.infer<typeof RefusalReason>

/** A signed no. Of an `act` it is also a seal when `sealed`: no copy of the command will ever start. */
export const Refusal = z.strictObject({
  ...voice,
  refused: z.enum(['claim', 'observe', 'act', 'inquire', 'seal', 'abort', 'recall', 'release']),
  reason: RefusalReason,
  detail: Text,
  action: Id.optional(),
  sealed: z.boolean(),
  holder: Holder.nullable(),
})
export type Refusal = z.infer<typeof Refusal>

// ---- both -----------------------------------------------------------------------------------------------------

/** Every message by its name, which is also the type that its envelope signs. */
export const commands = {
  claim: Claim,
  observe: Observe,
  act: Act,
  inquire: Inquire,
  seal: Seal,
  abort: Abort,
  recall: Recall,
  release: Release,
} as const
export const answers = {
  report: Report,
  progress: Progress,
  result: Result,
  refusal: Refusal,
  excerpt: Excerpt,
} as const

type Typed<Schemas extends Record<string, z.ZodType>> = {
  [Type in keyof Schemas & string]: { readonly type: Type; readonly body: z.infer<Schemas[Type]> }
}[keyof Schemas & string]

export type Command = Typed<typeof commands>
export type CommandType = Command['type']
export type Answer = Typed<typeof answers>
export type AnswerType = Answer['type']
export type Message = Command | Answer
