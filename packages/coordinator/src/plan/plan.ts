import { HookPoint, Name, Sha256 } from '@filo/protocol'
import * as z from 'zod'

// P1. A plan is a pure function of fleet, intention and, where it needs them, observations.
// P2. Its steps form a graph: a step waits for its own needs only.
// P8. All-to-all needs between k and m instances are one join: k + m edges.

/** What an operator wants. */
export const Intention = z.strictObject({
  verb: z.enum(['start', 'stop', 'restart', 'reboot', 'halt']),
  /** As typed; empty means the whole fleet. For `reboot` and `halt` they are hosts. */
  selection: z.array(z.string()),
  labels: z.array(z.string()),
  /** Leave out what the selection drags along, and prove it instead (P3). */
  only: z.boolean(),
  /** The run whose way back this is (P5). */
  undoes: z.string().optional(),
})
export type Intention = z.infer<typeof Intention>

/**
 * What a step waits for, by number: below `steps.length` a step, from there on the joins. `needs` must be proven;
 * `follows` must only have ended, and not be unknown.
 */
const waits = { needs: z.array(z.int().nonnegative()), follows: z.array(z.int().nonnegative()) }

/**
 * The step whose needs brought this one into the plan, or the stop that the start of a restart or reboot undoes; absent
 * where the selection did.
 */
const because = { because: z.int().nonnegative().optional() }

const place = { service: Name, host: Name }

export const StartStep = z.strictObject({ kind: z.literal('start'), ...place, ...waits, ...because })
export const StopStep = z.strictObject({ kind: z.literal('stop'), ...place, ...waits, ...because })
/** Observes that an instance is where the plan needs it, and holds if not. */
export const ProveStep = z.strictObject({
  kind: z.literal('prove'),
  goal: z.enum(['running', 'stopped']),
  ...place,
  ...waits,
  ...because,
})
/** A hook of the instance `service@of`, run on `host`. */
export const HookStep = z.strictObject({
  kind: z.literal('hook'),
  at: HookPoint,
  of: Name,
  /** The digest of the hook's definition on `host`. */
  definition: Sha256,
  /** The start or stop step it belongs to: it is only run when that one has something to do. */
  around: z.int().nonnegative(),
  ...place,
  ...waits,
  ...because,
})
export type HookStep = z.infer<typeof HookStep>
/** Ends the present boot of a host: with the next one, or for good. */
export const HostStep = z.strictObject({
  kind: z.enum(['reboot', 'halt']),
  host: Name,
  /** The digest of the host's power definition. */
  definition: Sha256,
  /** How long the host may take until it answers from its next boot, or is gone, milliseconds. */
  timeoutMs: z.int().positive(),
  ...waits,
  ...because,
})
export type HostStep = z.infer<typeof HostStep>
export const Step = z.discriminatedUnion('kind', [StartStep, StopStep, ProveStep, HookStep, HostStep])
export type Step = z.infer<typeof Step>
/** A step that is about an instance: where it is to be, or what runs around that. */
export type InstanceStep = Exclude<Step, HostStep>
/** A step that asks where an instance is; what it proves opens gates. */
export type ServiceStep = Exclude<InstanceStep, HookStep>

export function isHostStep(step: Step): step is HostStep {
  return step.kind === 'reboot' || step.kind === 'halt'
}

export function isServiceStep(step: Step): step is ServiceStep {
  return step.kind !== 'hook' && !isHostStep(step)
}

/**
 * Stands for many: satisfied when `enough` of its inputs are (all of them where it is absent). Its inputs are steps
 * and joins before it, either all in `needs` or all in `follows`; whoever waits for it does so in the same way.
 */
export const Join = z.strictObject({ ...waits, enough: z.int().positive().optional() })
export type Join = z.infer<typeof Join>

/** What the run must know of a service to judge proofs and commands. */
export const PlannedService = z.strictObject({
  definition: Sha256,
  settleMs: z.int().nonnegative(),
  startTimeoutMs: z.int().nonnegative(),
  stopTimeoutMs: z.int().nonnegative(),
})
export type PlannedService = z.infer<typeof PlannedService>

export const Plan = z.strictObject({
  filo: z.literal(1),
  fleet: Name,
  intention: Intention,
  /** The services of all steps, by name. */
  services: z.record(Name, PlannedService),
  /** In an order in which they could be carried out one by one. */
  steps: z.array(Step),
  joins: z.array(Join),
})
export type Plan = z.infer<typeof Plan>

/** How long a state of the service must hold before it counts, milliseconds. */
export function settleMsOf(plan: Plan, service: string): number {
  return plan.services[service]!.settleMs
}

/** The hosts that a plan touches. */
export function hostsOf(plan: Plan): Set<string> {
  return new Set(plan.steps.map(({ host }) => host))
}

/** A step as people write it: `stop mta@mail1`, `reboot mail1`. Unique within a plan. */
export function stepName(step: Step): string {
  if (step.kind === 'hook') {
    const where = step.host === step.of ? '' : ` on ${step.host}`
    return `${step.at} ${step.service}@${step.of}${where}`
  }
  return isHostStep(step) ? `${step.kind} ${step.host}` : `${step.kind} ${step.service}@${step.host}`
}
