import * as z from 'zod'
import { limits } from './limits.ts'
import { ManagerKind } from './definition.ts'

/** What a service is doing, in the words of DESIGN section 2. `missing` and `unknown` prove nothing. */
export const State = z.enum(['running', 'stopped', 'starting', 'stopping', 'failed', 'missing', 'unknown'])
export type State = z.infer<typeof State>

/**
 * Whether anything of the service is still alive: a process, a queued job, a wanted state that would revive it.
 * Apart from `state` because a failed service may still have processes that hold the database open.
 */
export const Live = z.enum(['yes', 'no', 'unknown'])
export type Live = z.infer<typeof Live>

/** A process that belongs to a service: what an operator looks for when it will not stop. */
export const ProcessRef = z.strictObject({ pid: z.int().positive(), command: z.string().max(120) })
export type ProcessRef = z.infer<typeof ProcessRef>

/** What was seen of one instance, when, how, and for how long it had held. */
export const Observation = z.strictObject({
  state: State,
  live: Live,
  /** Whether the declared readiness probes passed; absent where none are declared or the service is not running. */
  ready: z.enum(['yes', 'no']).optional(),
  /** The manager's own words, for a person. */
  detail: z.string().max(limits.textChars),
  manager: ManagerKind,
  /** How long this state is vouched for without a break, milliseconds: by the manager's own record, or watched by the agent. */
  heldMs: z.number().nonnegative(),
  /** The host's wall clock; only ever printed. */
  seenAt: z.iso.datetime(),
  /** When the state began, where the manager knows; only ever printed. */
  since: z.iso.datetime().optional(),
  processes: z.array(ProcessRef).max(limits.processesNamed).optional(),
  /** What an operator should know before acting: a dummy unit, a socket that would revive it. */
  warnings: z.array(z.string().max(limits.textChars)).max(8).optional(),
})
export type Observation = z.infer<typeof Observation>

/** Where a step wants its instance to be. */
export const Goal = z.enum(['running', 'stopped'])
export type Goal = z.infer<typeof Goal>

/**
 * What an observation says about a goal: `proves` it (R3, apart from age), `contradicts` it, is `between`
 * (on its way, or not yet settled), or is `silent` (unknown or missing: it may be either).
 */
export type Verdict = 'proves' | 'contradicts' | 'between' | 'silent'

/** The single judgement of what counts as running or stopped; the agent and the coordinator both ask here. */
export function judge(observation: Observation, goal: Goal, settleMs: number): Verdict {
  const { state, live, ready, heldMs } = observation
  if (state === 'unknown' || state === 'missing') return 'silent'
  if (goal === 'stopped') {
    if (live === 'unknown') return 'silent'
    if (state === 'stopping') return 'between'
    if (live === 'yes') return 'contradicts'
    if (state !== 'stopped' && state !== 'failed') return 'contradicts'
    return heldMs >= settleMs ? 'proves' : 'between'
  }
  if (state === 'starting') return 'between'
  if (state !== 'running') return 'contradicts'
  if (ready === 'no') return 'between'
  return heldMs >= settleMs ? 'proves' : 'between'
}
