import { instanceName, judge, type Goal, type InstanceName } from '@filo/protocol'
import { isServiceStep, settleMsOf, type HookStep, type ServiceStep, type Plan } from '../plan/plan.ts'
import { dueHosts } from './hosts.ts'
import { goalOf, type HostState, type RunState } from './run.ts'
import type { Proof, RunOutcome } from './run-event.ts'

// R3. A gate opens on proofs only: asked for at most 10 s ago, newer than the last action on that instance, from
//     the host's current boot and agent incarnation, and settled.
// R7. After a failure nothing new is sent (`hold`), or only what does not depend on it (`continue`).
// R10. The outcome is the worst of the steps.

/**
 * How old the asking for a proof may be when a step that relies on it is sent, milliseconds (R3); on top comes the
 * service's settle time, for which the agent watches before it answers.
 */
export const proofAgeMs = 10_000
/** How many actions of one step a session sends before it gives up on seals and refusals (R13). */
export const attemptsPerSession = 5
/** How many actions run on one host at once: a host with a hundred services is not asked for all of them at once. */
export const actionsPerHost = 16

/** What may be done now. */
export interface Decision {
  /** Steps to send, in plan order. */
  readonly send: readonly number[]
  /** Steps whose instance must be observed, again or for the first time, before anything can be said. */
  readonly observe: readonly number[]
  /** Hooks around a step that has nothing to do. */
  readonly unneeded: readonly number[]
  /** What the session came to, when nothing is in flight and nothing can be done any more. */
  readonly end: RunOutcome | null
}

/** Pure: the same state at the same time always gives the same decision. `nowMs` is the session's monotonic clock. */
export function decide(state: RunState, nowMs: number): Decision {
  const into: Draft = { send: [], observe: new Set(), unneeded: [] }
  if (state.session === 0 || state.ended !== null) return { send: [], observe: [], unneeded: [], end: null }
  if (mayBegin(state)) considerOpen(state, nowMs, into)
  for (const index of state.unknown) {
    if (
      state.plan.steps[index]!.kind === 'prove' &&
      isRecent(state.steps[index]!.unknownAtMs, state, nowMs)
    ) {
      into.observe.add(index)
    }
  }
  if (state.stopping === null) considerReviews(state, nowMs, into)
  const isIdle = into.send.length + into.unneeded.length + into.observe.size === 0
  const isOver = isIdle && state.inFlight.size === 0 && !isPatient(state, nowMs)
  return { ...into, observe: [...into.observe], end: isOver ? outcomeOf(state) : null }
}

interface Draft {
  readonly send: number[]
  readonly observe: Set<number>
  readonly unneeded: number[]
}

function considerOpen(state: RunState, nowMs: number, into: Draft): void {
  const proofs = new Proofs(state, nowMs, proofAgeMs)
  // Where one proof has to be asked for, those that are half gone are asked for with it: else, where looking takes
  // seconds, there would always be one that is too old.
  const young = new Proofs(state, nowMs, proofAgeMs / 2)
  const load = loadByHost(state)
  const due = [...state.open].filter((index) => isDue(state, index, nowMs) && isOurs(state, index))
  const again = new Set(due.filter((index) => isTriedAgain(state, index, proofs, nowMs)))
  for (const index of due.toSorted((one, other) => one - other)) {
    const step = state.plan.steps[index]!
    if (restsOn(state, index, again)) continue
    if (proofs.missingFor(index).length > 0) {
      for (const needed of young.missingFor(index)) {
        if (isWorthAsking(state, needed, nowMs)) into.observe.add(needed)
      }
    } else if (step.kind === 'prove') into.observe.add(index)
    else if (step.kind === 'hook') considerHook(state, proofs, index, step, into)
    else if ((load.get(step.host) ?? 0) < actionsPerHost) {
      load.set(step.host, (load.get(step.host) ?? 0) + 1)
      into.send.push(index)
    }
  }
}

/** What was proven before its host has booted is seen again, even if nothing rests on it any more. */
function considerReviews(state: RunState, nowMs: number, into: Draft): void {
  for (const index of state.reviews) {
    const { host } = state.plan.steps[index]!
    if (state.hosts.get(host)?.kind === 'claimed' && isWorthAsking(state, index, nowMs))
      into.observe.add(index)
  }
}

function isOurs(state: RunState, index: number): boolean {
  return state.hosts.get(state.plan.steps[index]!.host)?.kind === 'claimed'
}

/** Whether a step has ended only until it is tried again, now: whoever follows it goes after that. */
function isTriedAgain(state: RunState, index: number, proofs: Proofs, nowMs: number): boolean {
  const { phase } = state.steps[index]!
  if (phase !== 'failed' && phase !== 'drifted') return false
  return proofs.missingFor(index).every((needed) => isWorthAsking(state, needed, nowMs))
}

/** Whether what a step waits for is one of `steps`, or rests on one as a join does, or a step that is waived. */
function restsOn({ plan, steps: states }: RunState, index: number, steps: ReadonlySet<number>): boolean {
  if (steps.size === 0) return false
  const waitsOf = (node: number): readonly number[] => {
    const { needs, follows } = plan.steps[node] ?? plan.joins[node - plan.steps.length]!
    return [...needs, ...follows]
  }
  // It grows while it is read.
  const seen = new Set(waitsOf(index))
  for (const node of seen) {
    if (steps.has(node)) return true
    const isPassage = node >= plan.steps.length || states[node]!.phase === 'waived'
    if (isPassage) for (const before of waitsOf(node)) seen.add(before)
  }
  return false
}

/** Whether anything new may be started at all (R7, and the word of an operator). */
function mayBegin(state: RunState): boolean {
  if (state.stopping !== null) return false
  for (const host of dueHosts(state)) if (host.kind === 'fenced') return false
  if (state.policy === 'continue') return true
  if (state.troubled.size > 0 || state.unknown.size > 0) return false
  // What was proven and may be so no more is as good as unknown until it has been seen.
  if (state.reviews.size > 0) return false
  // Nothing is changed before every host of the plan has answered: a host that is dropped in silence is how a
  // database is stopped under a live application.
  for (const host of dueHosts(state)) if (host.kind !== 'claimed') return false
  return true
}

/** Whether this step may have an action now, as far as its own past goes. */
function isDue(state: RunState, index: number, nowMs: number): boolean {
  const { phase, session, attempts, retryAtMs } = state.steps[index]!
  if (attempts >= attemptsPerSession || (retryAtMs !== undefined && nowMs < retryAtMs)) return false
  if (phase === 'waiting' || phase === 'sealed') return true
  // What failed or drifted is tried again only when an operator resumes the run.
  return (phase === 'failed' || phase === 'drifted') && session < state.session
}

/** Whether a step or host that gives no answer may still be asked, and may yet answer. */
function isPatient(state: RunState, nowMs: number): boolean {
  for (const index of state.unknown) {
    const { unknownAtMs, awayUntilMs = nowMs } = state.steps[index]!
    if (nowMs < awayUntilMs || isRecent(unknownAtMs, state, nowMs)) return true
  }
  for (const index of state.open) {
    if (!mayBegin(state)) break
    const { phase, attempts, retryAtMs } = state.steps[index]!
    if (phase === 'sealed' && attempts < attemptsPerSession && (retryAtMs ?? nowMs) > nowMs) return true
  }
  // Waiting for a host is of use only while something might be sent once it answers.
  if (state.stopping !== null) return false
  const hosts = [...dueHosts(state)]
  if (state.policy === 'hold') {
    if (state.troubled.size > 0 || state.unknown.size > 0) return false
    if (hosts.some(({ kind }) => kind === 'refused' || kind === 'fenced')) return false
  }
  return hosts.some(
    (host) => host.kind === 'unclaimed' || (host.kind === 'silent' && isRecent(host.sinceMs, state, nowMs)),
  )
}

/** Whether a doubt that began then is still within the run's patience. */
function isRecent(sinceMs: number | undefined, state: RunState, nowMs: number): boolean {
  return sinceMs === undefined || nowMs - sinceMs < state.patienceMs
}

/** Whether a proof that could not be renewed is asked for once more. */
function isWorthAsking(state: RunState, index: number, nowMs: number): boolean {
  // Whatever has been proven has been seen.
  const { current, doubtSinceMs } = state.instances.get(instanceProvenBy(state.plan, index))!
  // What the run itself has taken elsewhere since is not proven by another look.
  const [newest, asked] = [current!, index].map((one) => goalOf(state.plan.steps[one] as ServiceStep))
  return newest === asked && isRecent(doubtSinceMs, state, nowMs)
}

function loadByHost(state: RunState): Map<string, number> {
  const load = new Map<string, number>()
  for (const index of [...state.inFlight, ...state.unknown]) {
    const { host } = state.plan.steps[index]!
    load.set(host, (load.get(host) ?? 0) + 1)
  }
  return load
}

/** A hook runs only when its step has something to do: stopping what is stopped is not announced twice. */
function considerHook(state: RunState, proofs: Proofs, index: number, hook: HookStep, into: Draft): void {
  const around = state.plan.steps[hook.around] as ServiceStep
  if (hook.at.startsWith('after')) {
    if (state.steps[hook.around]!.mayHaveActed) into.send.push(index)
    else into.unneeded.push(index)
    return
  }
  const goal = goalOf(around)
  if (state.steps[index]!.mayHaveActed) into.send.push(index)
  else if (!proofs.isFresh(around)) into.observe.add(hook.around)
  else if (proofs.proves(around, goal)) into.unneeded.push(index)
  else into.send.push(index)
}

/** The proofs that gates rest on, judged once for each pass. */
class Proofs {
  readonly #state: RunState
  readonly #nowMs: number
  readonly #ageMs: number
  readonly #ofJoin = new Map<number, readonly number[]>()

  /** @param ageMs how old a proof may be to stand */
  constructor(state: RunState, nowMs: number, ageMs: number) {
    this.#state = state
    this.#nowMs = nowMs
    this.#ageMs = ageMs
  }

  /** The steps that this step needs and whose proof must be asked for again. */
  missingFor(index: number): readonly number[] {
    const { plan, steps } = this.#state
    const step = plan.steps[index]!
    const missing = this.#missingAmong(step.needs, undefined)
    if (!isServiceStep(step) || steps[index]!.action === undefined) return missing
    // The start of a restart has been sent: that its own stop left the instance stopped is past.
    return missing.filter((needed) => instanceProvenBy(plan, needed) !== instanceProvenBy(plan, index))
  }

  #missingAmong(nodes: readonly number[], enough: number | undefined): readonly number[] {
    const { plan } = this.#state
    const missing: number[] = []
    let standing = 0
    for (const node of nodes) {
      if (!this.#state.gates.isMet(node)) continue
      const lacking =
        node < plan.steps.length ? (this.#stands(node) ? [] : [node]) : this.#missingInJoin(node)
      if (lacking.length === 0) standing += 1
      missing.push(...lacking)
    }
    return enough !== undefined && standing >= enough ? [] : missing
  }

  #missingInJoin(node: number): readonly number[] {
    const known = this.#ofJoin.get(node)
    if (known !== undefined) return known
    const join = this.#state.plan.joins[node - this.#state.plan.steps.length]!
    const missing = this.#missingAmong(join.needs, join.enough)
    this.#ofJoin.set(node, missing)
    return missing
  }

  #stands(index: number): boolean {
    const step = this.#state.plan.steps[index]!
    // A hook that ran has run, a host that has booted has booted, and a waiver asks for no proof.
    if (!isServiceStep(step) || this.#state.steps[index]!.phase === 'waived') return true
    const goal = goalOf(step)
    // On a host that was halted nothing runs.
    if (this.#state.gone.has(step.host)) return goal === 'stopped'
    return this.isFresh(step) && this.proves(step, goal)
  }

  /** Whether the newest observation of the step's instance is recent and from the life that we talk to. */
  isFresh(step: ServiceStep): boolean {
    const instance = this.#state.instances.get(instanceName(step.service, step.host))
    const host = this.#state.hosts.get(step.host)
    if (instance?.proof === undefined || host?.kind !== 'claimed') return false
    const settleMs = settleMsOf(this.#state.plan, step.service)
    if (this.#nowMs - instance.proof.askedAtMs > this.#ageMs + settleMs) return false
    return isCurrent(instance.proof, host, this.#state.session, instance.lastAction)
  }

  proves(step: ServiceStep, goal: Goal): boolean {
    const proof = this.#state.instances.get(instanceName(step.service, step.host))?.proof
    const settleMs = settleMsOf(this.#state.plan, step.service)
    return proof !== undefined && judge(proof.observation, goal, settleMs) === 'proves'
  }
}

/** The instance of a step whose proof may be asked for: of hooks and host steps none is. */
function instanceProvenBy({ steps }: Plan, index: number): InstanceName {
  const { service, host } = steps[index] as ServiceStep
  return instanceName(service, host)
}

/** R3, apart from its age and from what was seen. */
function isCurrent(
  proof: Proof,
  host: Extract<HostState, { kind: 'claimed' }>,
  session: number,
  lastAction: { readonly incarnation: string; readonly answer: number } | undefined,
): boolean {
  if (proof.session !== session) return false
  if (proof.incarnation !== host.incarnation || proof.boot !== host.boot) return false
  return lastAction?.incarnation !== proof.incarnation || proof.answer >= lastAction.answer
}

/** R10: the worst of the steps, and of what was never reached. */
export function outcomeOf(state: RunState): RunOutcome {
  const phases = new Set(state.steps.filter((_, index) => !state.spare.has(index)).map(({ phase }) => phase))
  if (phases.has('failed') || phases.has('drifted')) return 'failed'
  if (phases.has('unknown') || phases.has('sent')) return 'unresolved'
  if (!phases.has('waiting') && !phases.has('sealed')) {
    // What was proven of a host that has booted since is not known to hold.
    if (state.reviews.size > 0) return 'unresolved'
    // A waiver of a proof that others could have stood in for opened a gate all the same.
    return state.steps.some(({ phase }) => phase === 'waived') ? 'waived' : 'succeeded'
  }
  const hosts = [...dueHosts(state)]
  if (hosts.some(({ kind }) => kind === 'refused' || kind === 'fenced')) return 'refused'
  if (hosts.some(({ kind }) => kind === 'silent')) return 'unresolved'
  if (state.stopping !== null) return 'cancelled'
  if (phases.has('sealed')) return 'failed'
  // Nobody stopped it, yet it did not get through: too few of several proofs, or one that could not be renewed.
  return [...state.spare].some((index) => state.steps[index]!.phase === 'failed') ? 'failed' : 'unresolved'
}
