import { instanceName, type Holder, type Output } from '@filo/protocol'
import { isHostStep, stepName, type Step } from '../plan/plan.ts'
import { wasToldToGo } from './hosts.ts'
import { isSettled } from './phase.ts'
import type { HostState, RunState } from './run.ts'

// R12. Of every run that is stuck it is told what is in the way, and why.

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
  /** The host's own policy forbids it. */
  readonly isForbidden?: true
  /** The steps that wait for this one directly. */
  readonly holds: readonly string[]
  readonly output?: Output
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

/**
 * What is in the way of a run, the worst first.
 *
 * @param isAbandoned whether the process that carried it out has ended without a word.
 */
export function blockersOf(state: RunState, isAbandoned: boolean): Blocker[] {
  const dependents = new Dependents(state)
  const steps = state.plan.steps.flatMap((step, index) => {
    const blocker = blockingStep(state, step, index, isAbandoned)
    return blocker === undefined ? [] : [{ ...blocker, holds: dependents.waitingFor(index) }]
  })
  const hosts = [...state.hosts].flatMap(([host, known]) => blockingHost(state, host, known))
  const all = [...steps, ...hosts]
  // Something has to be the reason: a proof that could not be renewed is one only if nothing else is.
  const reasons = [doubtfulSteps, unseenSteps, stalledSteps]
  const found = reasons.reduce((known, find) => (known.length > 0 ? known : find(state, dependents)), all)
  return found.toSorted((one, other) => worstFirst.indexOf(one.is) - worstFirst.indexOf(other.is))
}

function blockingStep(
  state: RunState,
  step: Step,
  index: number,
  isAbandoned: boolean,
): Omit<Blocker, 'holds'> | undefined {
  const { phase, reason = '', ending } = state.steps[index]!
  const name = stepName(step)
  if (phase === 'sent' && isAbandoned) {
    const why = 'the process that sent it has ended; the agent knows what became of it'
    return { kind: 'step', name, is: 'unknown', why }
  }
  if (phase === 'waiting' || phase === 'sent' || phase === 'done' || phase === 'waived') return undefined
  const proof = isHostStep(step)
    ? undefined
    : state.instances.get(instanceName(step.service, step.host))?.proof
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
  // Of a host that was told to go down its own step says what there is to say.
  if (known.kind === 'silent' && wasToldToGo(state, host)) return []
  const due = dueOn(state, host)
  // A host whose steps are all waived is gone for good, and keeps nobody waiting.
  if (due.length === 0) return []
  const holds = due
    .filter((index) => state.steps[index]!.phase !== 'done')
    .map((index) => nameOf(state, index))
  if (known.kind === 'silent') return [{ kind: 'host', name: host, is: 'silent', why: known.reason, holds }]
  const { kind, holder } = known
  const by =
    holder === null
      ? 'another run has held the host meanwhile, and has given it back'
      : `${holder.run} of ${holder.operator} has taken the host over`
  const why = kind === 'refused' ? known.reason : by
  return [
    {
      kind: 'host',
      name: host,
      is: kind,
      why,
      holds,
      ...(holder !== null && { heldBy: holder, since: holder.since }),
      ...(kind === 'refused' && known.isForbidden && { isForbidden: true }),
    },
  ]
}

/** The steps of a host that are not waived: even of those that are done, proofs are asked for again. */
export function dueOn(state: RunState, host: string): number[] {
  return [...state.plan.steps.keys()].filter(
    (index) => state.plan.steps[index]!.host === host && state.steps[index]!.phase !== 'waived',
  )
}

export function nameOf(state: RunState, index: number): string {
  return stepName(state.plan.steps[index]!)
}

/** Steps that were proven and whose proof cannot be renewed, for what is seen now says neither. */
function doubtfulSteps(state: RunState, dependents: Dependents): Blocker[] {
  return [...state.instances.values()].flatMap(({ doubtSinceMs, proof, current }): Blocker[] => {
    if (doubtSinceMs === undefined || proof === undefined || current === undefined) return []
    const { detail, state: seen, seenAt } = proof.observation
    const why = `it was proven, and is now seen ${seen}: ${detail}`
    return [{ ...doubtful(state, dependents, current, why), since: seenAt }]
  })
}

/** Steps that were proven before their host rebooted, and were not seen again before the session ended. */
function unseenSteps(state: RunState, dependents: Dependents): Blocker[] {
  return [...state.reviews].map((index) => {
    const { host } = state.plan.steps[index]!
    const why = `it was proven, but ${host} has rebooted since, and what became of it there has not been seen yet`
    return doubtful(state, dependents, index, why)
  })
}

/** Steps whose turn had come and that were not sent before the session ended: answers were lost, or came too late. */
function stalledSteps(state: RunState, dependents: Dependents): Blocker[] {
  if (state.ended !== 'unresolved' || state.hasNewWaivers) return []
  return [...state.open].map((index) => {
    const isLookedAt = state.plan.steps[index]!.kind === 'prove'
    const why = isLookedAt
      ? 'its turn has come, but no answer came in time that says what it does'
      : 'its turn has come, but what it waits for could not all be seen within the same 10 s: answers were lost, or looking takes too long'
    return doubtful(state, dependents, index, why)
  })
}

function doubtful(state: RunState, dependents: Dependents, index: number, why: string): Blocker {
  return {
    kind: 'step',
    name: nameOf(state, index),
    is: 'doubtful',
    why,
    holds: dependents.waitingFor(index),
  }
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
    const { steps, gates } = this.#state
    const seen = new Set(roots.flatMap((root) => this.#of[root]!))
    const waiting = new Set<number>()
    // The set grows while it is read.
    for (const node of seen) {
      if (gates.isMet(node)) continue
      const phase = steps[node]?.phase // A join has none.
      if (phase === 'waiting') waiting.add(node)
      // What is done passes on what it waits for itself.
      const isPassage = phase === undefined || isSettled(phase)
      if (isPassage || (phase === 'waiting' && how === 'in the end')) {
        for (const next of this.#of[node]!) seen.add(next)
      }
    }
    return waiting
  }
}

/** Whether there is something that `--continue` would go on with. */
export function hasOthersWaiting(state: RunState): boolean {
  const troubled = [...state.plan.steps.keys()].filter((index) => {
    const { phase } = state.steps[index]!
    return phase !== 'waiting' && phase !== 'done' && phase !== 'waived'
  })
  return new Dependents(state).waitingForOthers(troubled) > 0
}
