import { instanceName, judge, type Ending } from '@filo/protocol'
import { isHostStep, isServiceStep, settleMsOf, stepName, type ServiceStep } from '../plan/plan.ts'
import { isPast } from './hosts.ts'
import { interpretBooted } from './host-step.ts'
import { contradicts, goalOf, isNewer, type RunState } from './run.ts'
import type { Proof, RunEvent } from './run-event.ts'

// What an answer means to the run, as events. R4: an answer that says nothing makes nothing. R10: what is claimed
// to be done is believed only when the observation beside it proves it.

/** Which answer of which life of a host. */
export interface Answered extends Pick<Proof, 'incarnation' | 'boot' | 'answer'> {
  /** Whether it was told from memory: what was seen then may have changed since, and opens no gate (R3). */
  readonly isFromMemory: boolean
}

/** When what is told from memory counts as asked for: never recently. */
const longAgoMs = Number.MIN_SAFE_INTEGER

/**
 * What the ending of an action makes of its step. Repeated and late words change nothing that has ended. What the
 * ending saw was asked for when the action was sent, however late it is heard of.
 */
export function interpretEnding(
  state: RunState,
  index: number,
  action: string,
  ending: Ending,
  answered: Answered,
  nowMs: number,
): RunEvent[] {
  const stepState = state.steps[index]!
  const isWaitedFor = stepState.phase === 'sent' || stepState.phase === 'unknown'
  if (!isWaitedFor || stepState.action?.id !== action) return amend(state, index, action, ending)
  const { session, atMs } = stepState.action
  const askedAtMs = answered.isFromMemory ? longAgoMs : atMs
  const { incarnation, boot, answer } = answered
  const proof = ending.observation && {
    session,
    askedAtMs,
    incarnation,
    boot,
    answer,
    observation: ending.observation,
  }
  const at = { step: index, action }
  const step = state.plan.steps[index]!
  if (isHostStep(step) && (ending.outcome === 'changed' || ending.outcome === 'unchanged')) {
    return interpretBooted(state, index, ending, boot, nowMs)
  }
  switch (ending.outcome) {
    case 'changed':
    case 'unchanged': {
      const doubt = doubtOf(state, index, proof)
      if (doubt !== undefined)
        return [{ type: 'failed', ...at, reason: doubt, ending, ...(proof && { proof }) }]
      const { outcome, reason, durationMs } = ending
      return [{ type: 'done', ...at, outcome, reason, durationMs, ...(proof && { proof }) }]
    }
    case 'interrupted':
    case 'failed':
      return [{ type: 'failed', ...at, reason: ending.reason, ending, ...(proof && { proof }) }]
    case 'unproven':
      // Its last word, and better than what was known of it before.
      if (stepState.reason === ending.reason) return []
      return [{ type: 'unknown', ...at, reason: ending.reason, atMs: nowMs }]
    case 'overdue':
      return becomeUnknown(state, index, action, ending.reason, nowMs)
  }
}

function becomeUnknown(
  state: RunState,
  step: number,
  action: string,
  reason: string,
  atMs: number,
): RunEvent[] {
  if (state.steps[step]!.phase === 'unknown') return []
  return [{ type: 'unknown', step, action, reason, atMs }]
}

function amend(state: RunState, step: number, action: string, ending: Ending): RunEvent[] {
  const stepState = state.steps[step]!
  // A waived step may hear what became of its action after all; every other end came with its own last word.
  const isNews =
    stepState.phase === 'waived' && stepState.ending === undefined && ending.outcome !== 'overdue'
  return isNews && stepState.action?.id === action ? [{ type: 'amended', step, action, ending }] : []
}

/** Why the agent's word that it is done is not believed; undefined when it is proven. */
function doubtOf(state: RunState, index: number, proof: Proof | undefined): string | undefined {
  const step = state.plan.steps[index]!
  if (!isServiceStep(step)) return undefined
  const goal = goalOf(step)
  if (proof === undefined) return 'the agent reported success without an observation'
  const verdict = judge(proof.observation, goal, settleMsOf(state.plan, step.service))
  return verdict === 'proves' ? undefined : `reported as done, but seen: ${proof.observation.detail}`
}

/** What an observation of an instance makes of the run. */
export function interpretObservation(
  state: RunState,
  service: string,
  host: string,
  proof: Proof,
): RunEvent[] {
  const instance = state.instances.get(instanceName(service, host))
  if (instance?.proof !== undefined && !isNewer(proof, instance.proof)) return []
  const observed: RunEvent = { type: 'observed', service, host, proof }
  const current = instance?.current
  if (current === undefined || isPast(state, current)) return [observed]
  const stepState = state.steps[current]!
  // Only what is about where an instance is becomes its current step.
  const step = state.plan.steps[current] as ServiceStep
  const { state: now, detail } = proof.observation
  const seen = `${stepName(step)} was proven, but ${service}@${host} is seen ${now}: ${detail}${bootBetween(state, current, proof)}`
  if (stepState.phase === 'done') {
    if (contradicts(state, step, proof))
      return [observed, { type: 'drifted', step: current, reason: seen, proof }]
    const goal = goalOf(step)
    const settleMs = settleMsOf(state.plan, step.service)
    const isOverdue =
      instance?.doubtSinceMs !== undefined && isOverTime(state, current, instance.doubtSinceMs, proof)
    if (isOverdue && judge(proof.observation, goal, settleMs) === 'between') {
      return [observed, { type: 'drifted', step: current, reason: seen, proof }]
    }
  }
  return [observed]
}

/** What an operator has to know of a host that is no longer in the boot in which a step was proven. */
function bootBetween(state: RunState, index: number, proof: Proof): string {
  const { provenIn } = state.steps[index]!
  if (provenIn === undefined || provenIn === proof.boot) return ''
  const { host } = state.plan.steps[index]!
  const seenAt = state.rebooted.get(host)
  return `; ${host} has rebooted since${seenAt === undefined ? '' : ` (seen at ${seenAt})`}`
}

/** What an observation makes of a `prove` step that waits for it. */
export function interpretProof(
  state: RunState,
  index: number,
  firstAskedMs: number,
  proof: Proof,
): RunEvent[] {
  const step = state.plan.steps[index]!
  const { phase } = state.steps[index]!
  if (step.kind !== 'prove' || (phase !== 'waiting' && phase !== 'unknown')) return []
  const { goal } = step
  const { detail, state: seen } = proof.observation
  switch (judge(proof.observation, goal, settleMsOf(state.plan, step.service))) {
    case 'proves':
      return [{ type: 'done', step: index, outcome: 'observed', reason: detail, proof }]
    case 'contradicts':
      return [
        {
          type: 'failed',
          step: index,
          reason: `it is ${seen}, and this plan leaves it alone: ${detail}`,
          proof,
        },
      ]
    case 'between':
      if (!isOverTime(state, index, firstAskedMs, proof)) return []
      return [
        { type: 'failed', step: index, reason: `it is not ${goal} yet, and time is up: ${detail}`, proof },
      ]
    case 'silent':
      if (phase === 'unknown') return []
      return [{ type: 'unknown', step: index, reason: detail, atMs: proof.askedAtMs }]
  }
}

/**
 * What a look at an instance makes of a step whose action is over although nobody saw what it came to. Nothing of
 * the action lives, so that what is seen from then on is what it came to (R4).
 */
export function interpretAftermath(state: RunState, index: number, action: string, proof: Proof): RunEvent[] {
  const step = state.plan.steps[index]!
  if (!isServiceStep(step) || state.steps[index]!.phase !== 'unknown') return []
  const { state: seen, detail } = proof.observation
  switch (judge(proof.observation, goalOf(step), settleMsOf(state.plan, step.service))) {
    case 'proves':
      return [{ type: 'done', step: index, action, outcome: 'observed', reason: detail, proof }]
    case 'contradicts':
      return [{ type: 'failed', step: index, action, reason: `it is ${seen}: ${detail}`, proof }]
    case 'between':
    case 'silent':
      return []
  }
}

/** Whether a step's own time limit has passed since a doubt began. */
function isOverTime(state: RunState, index: number, sinceMs: number, proof: Proof): boolean {
  const step = state.plan.steps[index] as ServiceStep
  const { startTimeoutMs, stopTimeoutMs } = state.plan.services[step.service]!
  return proof.askedAtMs - sinceMs >= (goalOf(step) === 'running' ? startTimeoutMs : stopTimeoutMs)
}
