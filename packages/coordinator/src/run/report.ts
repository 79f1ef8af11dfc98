import { instanceName, type Holder, type Output } from '@filo/protocol'
import { stepName, type Intention, type Plan, type Step } from '../plan/plan.ts'
import type { HostState, Phase, RunState, StepState } from './run.ts'
import type { FailurePolicy, RunOutcome } from './run-event.ts'

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

/**
 * `ordered`: it has not begun. `running`: a process carries it out now. `interrupted`: the process that did has
 * ended without a word, and nobody knows yet what became of what was in flight.
 */
export type Standing = RunOutcome | 'ordered' | 'running' | 'interrupted'

export interface RunReport extends Pick<Ordered, 'run' | 'planHash' | 'operator' | 'orderedAt'> {
  readonly fleet: string
  readonly intention: Intention
  readonly reason?: string
  readonly outcome: Standing
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
}

/** One thing that keeps a run from its end. */
export interface Blocker {
  readonly kind: 'step' | 'host'
  /** `stop mta@mail1` or `mail1`. */
  readonly name: string
  readonly is: 'failed' | 'drifted' | 'unknown' | 'sealed' | 'doubtful' | 'silent' | 'refused' | 'fenced'
  readonly why: string
  /** When what is in the way was seen, by its host's clock, or since when somebody else holds the host. */
  readonly since?: string
  readonly heldBy?: Holder
  /** The steps that wait for this one directly. */
  readonly holds: readonly string[]
  readonly output?: Output
}

export interface NextCommand {
  readonly command: string
  readonly purpose: string
}

/** @param isOwned whether a process carries the run out now. */
export function reportOf(ordered: Ordered, state: RunState, isOwned: boolean): RunReport {
  const { run, plan, planHash, operator, orderedAt, reason } = ordered
  const counts = countSteps(state)
  const outcome = standingOf(state, isOwned)
  const blockers = outcome === 'succeeded' || outcome === 'waived' ? [] : blockersOf(state, outcome)
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
    next: nextCommands(run, state, { outcome, counts, blockers }),
  }
}

function standingOf(state: RunState, isOwned: boolean): Standing {
  if (state.ended !== null) return state.ended
  if (isOwned) return 'running'
  return state.session === 0 ? 'ordered' : 'interrupted'
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
  return {
    step: stepName(step),
    phase,
    ...(outcome !== undefined && { outcome }),
    ...(reason !== undefined && { reason }),
    ...(action !== undefined && { action: action.id }),
    ...(durationMs !== undefined && { durationMs }),
    ...(ending?.output !== undefined && { output: ending.output }),
  }
}

/** How bad each kind of blocker is: the cause comes before what merely follows from it. */
const worstFirst: readonly Blocker['is'][] = [
  'failed',
  'drifted',
  'unknown',
  'sealed',
  'doubtful',
  'fenced',
  'refused',
  'silent',
]

function blockersOf(state: RunState, outcome: Standing): Blocker[] {
  const dependents = new Dependents(state)
  const steps = state.plan.steps.flatMap((step, index) => {
    const blocker = blockingStep(state, step, index, outcome)
    return blocker === undefined ? [] : [{ ...blocker, holds: dependents.waitingFor(index) }]
  })
  const hosts = [...state.hosts].flatMap(([host, known]) => blockingHost(state, host, known))
  const all = [...steps, ...hosts]
  // Something has to be the reason: a proof that could not be renewed is one only if nothing else is.
  const found = all.length > 0 ? all : doubtfulSteps(state, dependents)
  return found.toSorted((one, other) => worstFirst.indexOf(one.is) - worstFirst.indexOf(other.is))
}

function blockingStep(
  state: RunState,
  step: Step,
  index: number,
  outcome: Standing,
): Omit<Blocker, 'holds'> | undefined {
  const { phase, reason = '', ending } = state.steps[index]!
  const name = stepName(step)
  if (phase === 'sent' && outcome === 'interrupted') {
    const why = 'the process that sent it has ended; the agent knows what became of it'
    return { kind: 'step', name, is: 'unknown', why }
  }
  if (phase === 'waiting' || phase === 'sent' || phase === 'done' || phase === 'waived') return undefined
  const proof = state.instances.get(instanceName(step.service, step.host))?.proof
  const seenAt = (ending?.observation ?? proof?.observation)?.seenAt
  return {
    kind: 'step',
    name,
    is: phase,
    why: reason,
    ...(seenAt !== undefined && { since: seenAt }),
    ...(ending?.output !== undefined && { output: ending.output }),
  }
}

function blockingHost(state: RunState, host: string, known: HostState): Blocker[] {
  if (known.kind === 'claimed' || known.kind === 'unclaimed') return []
  const due = dueOn(state, host)
  // A host whose steps are all waived is gone for good, and keeps nobody waiting.
  if (due.length === 0) return []
  const holds = due
    .filter((index) => state.steps[index]!.phase !== 'done')
    .map((index) => nameOf(state, index))
  if (known.kind === 'silent') return [{ kind: 'host', name: host, is: 'silent', why: known.reason, holds }]
  const { kind, holder } = known
  const by = holder === null ? 'another run' : `${holder.run} of ${holder.operator}`
  const why = kind === 'refused' ? known.reason : `${by} has taken the host over`
  return [
    {
      kind: 'host',
      name: host,
      is: kind,
      why,
      holds,
      ...(holder !== null && { heldBy: holder, since: holder.since }),
    },
  ]
}

/** The steps of a host that are not waived: even of those that are done, proofs are asked for again. */
function dueOn(state: RunState, host: string): number[] {
  return [...state.plan.steps.keys()].filter(
    (index) => state.plan.steps[index]!.host === host && state.steps[index]!.phase !== 'waived',
  )
}

function nameOf(state: RunState, index: number): string {
  return stepName(state.plan.steps[index]!)
}

/** Steps that were proven and whose proof cannot be renewed, for what is seen now says neither. */
function doubtfulSteps(state: RunState, dependents: Dependents): Blocker[] {
  return [...state.instances.values()].flatMap(({ doubtSinceMs, proof, current }): Blocker[] => {
    if (doubtSinceMs === undefined || proof === undefined || current === undefined) return []
    const { detail, state: seen, seenAt } = proof.observation
    const why = `it was proven, and is now seen ${seen}: ${detail}`
    const holds = dependents.waitingFor(current)
    return [{ kind: 'step', name: nameOf(state, current), is: 'doubtful', why, since: seenAt, holds }]
  })
}

/** Who waits for steps, directly or through joins that are not satisfied without them. */
class Dependents {
  readonly #state: RunState
  readonly #of: number[][]

  constructor(state: RunState) {
    const { steps, joins } = state.plan
    this.#state = state
    this.#of = Array.from({ length: steps.length + joins.length }, () => [])
    for (const [node, { needs, follows }] of [...steps, ...joins].entries()) {
      for (const before of [...needs, ...follows]) this.#of[before]!.push(node)
    }
  }

  waitingFor(index: number): string[] {
    return [...this.#waitingFor([index], 'directly')].map((step) => nameOf(this.#state, step))
  }

  /** How many of the steps that wait do so for other reasons. */
  waitingForOthers(blocking: readonly number[]): number {
    const waiting = this.#state.steps.filter(({ phase }) => phase === 'waiting').length
    return waiting - this.#waitingFor(blocking, 'in the end').size
  }

  #waitingFor(roots: readonly number[], how: 'directly' | 'in the end'): Set<number> {
    const { plan, steps, gates } = this.#state
    const seen = new Set(roots.flatMap((root) => this.#of[root]!))
    const waiting = new Set<number>()
    // The set grows while it is read.
    for (const node of seen) {
      const isJoin = node >= plan.steps.length
      if (isJoin ? gates.isMet(node) : steps[node]!.phase !== 'waiting') continue
      if (!isJoin) waiting.add(node)
      if (isJoin || how === 'in the end') for (const next of this.#of[node]!) seen.add(next)
    }
    return waiting
  }
}

function nextCommands(
  run: string,
  state: RunState,
  { outcome, counts, blockers }: Pick<RunReport, 'outcome' | 'counts' | 'blockers'>,
): NextCommand[] {
  if (outcome === 'succeeded' || outcome === 'waived') return []
  if (outcome === 'running') return [{ command: `filo cancel ${run}`, purpose: 'have it send nothing new' }]
  const [worst] = blockers
  const next: NextCommand[] = [{ command: `filo resume ${run}`, purpose: purposeOfResume(worst) }]
  if (worst?.heldBy !== undefined) {
    next.push({
      command: `filo resume ${run} --take-over`,
      purpose: `take ${worst.name} from ${worst.heldBy.run}, if that is known to be over`,
    })
  }
  const blocking = blockers.find(({ kind }) => kind === 'step')
  // What was in flight when a process died cannot be judged before it has been asked about.
  if (blocking !== undefined && outcome !== 'interrupted') {
    next.push({
      command: `filo waive ${run} "${blocking.name}" --reason …`,
      purpose: 'count it as done without proof, on your word; then resume',
    })
    if (state.policy === 'hold' && hasOthersWaiting(state)) {
      next.push({
        command: `filo resume ${run} --continue`,
        purpose: 'the same, and go on with what does not depend on it',
      })
    }
  }
  const silent = blockers.find(({ is }) => is === 'silent')
  if (silent !== undefined) {
    const due = dueOn(state, silent.name)
    next.push({
      command: `filo waive ${run} "${nameOf(state, due[0]!)}" --reason …`,
      purpose: `so for each of the ${due.length} on ${silent.name}, if that is gone for good; then resume`,
    })
  }
  if (counts.changed > 0) next.push({ command: `filo undo ${run}`, purpose: 'lead back what it changed' })
  return next
}

/** Whether there is something that `--continue` would go on with. */
function hasOthersWaiting(state: RunState): boolean {
  const troubled = [...state.plan.steps.keys()].filter((index) => {
    const { phase } = state.steps[index]!
    return phase !== 'waiting' && phase !== 'done' && phase !== 'waived'
  })
  return new Dependents(state).waitingForOthers(troubled) > 0
}

function purposeOfResume(worst: Blocker | undefined): string {
  switch (worst?.is) {
    case undefined:
      return 'carry on'
    case 'failed':
    case 'drifted':
    case 'sealed':
      return 'try again what failed, once its cause is gone, and carry on'
    case 'unknown':
    case 'doubtful':
      return 'ask again what became of it, and carry on'
    case 'silent':
      return `carry on, once ${worst.name} answers: is its filo-agent running?`
    case 'fenced':
    case 'refused':
      return worst.heldBy === undefined
        ? `carry on, once ${worst.name} has been put right`
        : `carry on, once ${worst.heldBy.run} has ended`
  }
}
