import { HookPoint, Name, Sha256 } from '@filo/protocol'
import * as z from 'zod'

// P1. A plan is a pure function of fleet, intention and, where it needs them, observations.
// P2. Its steps form a graph: a step waits for its own needs only.
// P8. All-to-all needs between k and m instances are one join: k + m edges.

/** What an operator wants. */
export const Intention = z.strictObject({
  verb: z.enum(['start', 'stop', 'restart']),
  /** As typed; empty means the whole fleet. */
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
 * The step whose needs brought this one into the plan, or the stop that the start of a restart undoes; absent where
 * the selection did.
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
export const Step = z.discriminatedUnion('kind', [StartStep, StopStep, ProveStep, HookStep])
export type Step = z.infer<typeof Step>

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
  return plan.services[service]?.settleMs ?? 0
}

/** A step as people write it: `stop mta@mail1`. Unique within a plan. */
export function stepName(step: Step): string {
  if (step.kind === 'hook') {
    const where = step.host === step.of ? '' : ` on ${step.host}`
    return `${step.at} ${step.service}@${step.of}${where}`
  }
  return `${step.kind} ${step.service}@${step.host}`
}
