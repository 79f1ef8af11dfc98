import type { Output } from '@filo/protocol'
import { stepName, type Intention, type Plan, type Step } from '../plan/plan.ts'
import { blockersOf, type Blocker } from './blockers.ts'
import { nextCommands, type NextCommand } from './next-command.ts'
import type { Phase } from './phase.ts'
import type { RunState, StepState } from './run.ts'
import type { FailurePolicy } from './run-event.ts'
import { standingOf, type RunStanding } from './standing.ts'

// What a run came to. R10: never better than what agents confirmed. R12: it names the way out of where it stands.

/** A run as it was ordered. */
export interface Ordered {
  readonly run: string
  readonly plan: Plan
  readonly planHash: string
  readonly operator: string
  readonly reason: string | undefined
  readonly orderedAt: string
}

export interface RunReport extends Pick<Ordered, 'run' | 'planHash' | 'operator' | 'orderedAt'> {
  readonly fleet: string
  readonly intention: Intention
  readonly reason?: string
  readonly outcome: RunStanding
  /** Who had it stopped, if anybody. */
  readonly stopped?: NonNullable<RunState['stopping']>
  readonly policy: FailurePolicy
  readonly sessions: number
  readonly counts: Counts
  readonly steps: readonly StepReport[]
  /** What is in the way, the worst first. */
  readonly blockers: readonly Blocker[]
  /** What to type next. */
  readonly next: readonly NextCommand[]
}

export interface Counts {
  readonly steps: number
  /** Proven after an action that changed something. */
  readonly changed: number
  /** Proven without any action: it was so already, or only had to be seen. */
  readonly unchanged: number
  readonly waived: number
  readonly failed: number
  readonly unknown: number
  readonly inFlight: number
  /** Never reached, or barred before they began. */
  readonly waiting: number
}

export interface StepReport {
  readonly step: string
  readonly phase: Phase
  readonly outcome?: NonNullable<StepState['outcome']>
  readonly reason?: string
  /** The newest action; agents' logs name it too. */
  readonly action?: string
  readonly durationMs?: number
  readonly output?: Output
  /** Of a reboot or halt that is under way: since when, by wall time. */
  readonly since?: string
}

/**
 * @param isOwned whether a process carries the run out now.
 * @param standingOfRun how another run stands; undefined for one that this coordinator does not know.
 */
export function reportOf(
  ordered: Ordered,
  state: RunState,
  isOwned: boolean,
  standingOfRun: (run: string) => RunStanding | undefined = () => undefined,
): RunReport {
  const { run, plan, planHash, operator, orderedAt, reason } = ordered
  const counts = countSteps(state)
  const outcome = standingOf(state, isOwned)
  const blockers =
    outcome === 'succeeded' || outcome === 'waived' ? [] : blockersOf(state, outcome === 'interrupted')
  return {
    run,
    fleet: plan.fleet,
    intention: plan.intention,
    planHash,
    operator,
    orderedAt,
    ...(reason !== undefined && { reason }),
    outcome,
    ...(state.stopping !== null && { stopped: state.stopping }),
    policy: state.policy,
    sessions: state.session,
    counts,
    blockers,
    steps: plan.steps.map((step, index) => reportStep(step, state.steps[index]!)),
    next: nextCommands({ run, state, outcome, blockers, standingOfRun }),
  }
}

function countSteps(state: RunState): Counts {
  const counts = { changed: 0, unchanged: 0, waived: 0, failed: 0, unknown: 0, inFlight: 0, waiting: 0 }
  for (const { phase, outcome } of state.steps) {
    if (phase === 'done') counts[outcome === 'changed' ? 'changed' : 'unchanged'] += 1
    else if (phase === 'waived') counts.waived += 1
    else if (phase === 'failed' || phase === 'drifted') counts.failed += 1
    else if (phase === 'unknown') counts.unknown += 1
    else if (phase === 'sent') counts.inFlight += 1
    else counts.waiting += 1
  }
  return { steps: state.steps.length, ...counts }
}

function reportStep(step: Step, state: StepState): StepReport {
  const { phase, outcome, reason, action, ending, durationMs = ending?.durationMs } = state
  const isUnderWay = phase === 'sent' || phase === 'unknown'
  return {
    step: stepName(step),
    phase,
    ...(outcome !== undefined && { outcome }),
    ...(reason !== undefined && { reason }),
    ...(action !== undefined && { action: action.id }),
    ...(durationMs !== undefined && { durationMs }),
    ...(ending?.output !== undefined && { output: ending.output }),
    ...(isUnderWay && action?.going && { since: action.going.since }),
  }
}
