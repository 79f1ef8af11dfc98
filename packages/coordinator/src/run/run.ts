import { instanceName, judge, type Ending, type Goal, type Holder, type InstanceName } from '@filo/protocol'
import {
  isHostStep,
  isServiceStep,
  settleMsOf,
  stepName,
  type Plan,
  type ServiceStep,
  type Step,
} from '../plan/plan.ts'
import { isPast, isStartedByBoot, noteReturn, passHostStep, review, startedAgain } from './hosts.ts'
import { Gates, type Standing } from './gates.ts'
import { isSettled, isUnsettled, standings, type Phase } from './phase.ts'
import type { FailurePolicy, Proof, RunEvent, RunOutcome, StepEvent } from './run-event.ts'
import { spareProofs } from './spare.ts'

// R2. A run's state is the fold of its journal, and nothing else.
// R4. `unknown` is left by an answer, an observation, a seal or a waiver; never by sending the action again.
// R10. What has ended is amended, never rewritten.

/** What a step may come from; anything else is an error of the journal. */
const mayFollow: Record<StepEvent['type'], readonly Phase[]> = {
  sent: ['waiting', 'sealed', 'failed', 'drifted'], // always a new action
  done: ['waiting', 'sent', 'unknown', 'sealed'], // without an action: what a `prove` saw, a hook with nothing to do
  failed: ['waiting', 'sent', 'unknown'],
  unknown: ['waiting', 'sent', 'unknown'], // from unknown: for another reason
  sealed: ['sent', 'unknown'],
  running: ['unknown'],
  'going-down': ['sent', 'unknown'], // changes no phase
  drifted: ['done'],
  waived: ['waiting', 'unknown', 'sealed', 'failed', 'drifted', 'done'], // done: its proof cannot be renewed
  amended: ['done', 'failed', 'sealed', 'drifted', 'waived'],
}

export interface StepState {
  phase: Phase
  /** The session in which the phase was entered: what failed in an earlier one may be tried again. */
  session: number
  /** The newest action: the grant and ledger it was sent under, and when, by the clock of which session. */
  action?: {
    readonly id: string
    readonly grant: number
    readonly ledger: string
    readonly session: number
    readonly atMs: number
    readonly going?: NonNullable<Extract<RunEvent, { type: 'sent' }>['going']>
  }
  /** Actions of this step in this session; bounds what is sent again after a seal. */
  attempts: number
  /** Whether an action of this step may have changed something: its `after` hook is due. */
  mayHaveActed: boolean
  /** The same before the newest action: what it falls back to when that one turns out to have done nothing. */
  hadActed: boolean
  outcome?: 'changed' | 'unchanged' | 'observed' | 'unneeded'
  reason?: string
  ending?: Ending
  durationMs?: number
  /** When it became unknown, by the clock of `session`. */
  unknownAtMs?: number
  /** When a sealed step may be sent again, by the clock of `session`. */
  retryAtMs?: number
  /** The boot of its host in which it was proven. */
  provenIn?: string
  /** Of a host step in flight: what the agent has said of it, and when it was heard, by the clock of `session`. */
  goingDown?: { readonly hasLeft: boolean; readonly atMs: number }
  /** Of a host step: until when nobody expects an answer of the host, by the clock of `session`. */
  awayUntilMs?: number
}

export type HostState =
  | { readonly kind: 'unclaimed' }
  | {
      readonly kind: 'claimed'
      readonly grant: number
      readonly ledger: string
      readonly incarnation: string
      readonly boot: string
    }
  | { readonly kind: 'silent'; readonly reason: string; readonly sinceMs: number }
  | {
      readonly kind: 'refused'
      readonly reason: string
      readonly holder: Holder | null
      readonly isForbidden?: true
    }
  | { readonly kind: 'fenced'; readonly holder: Holder | null }

export interface InstanceState {
  /** The newest observation, good or not. */
  proof?: Proof
  /** The step of this instance that was last sent or settled: what drifts, if anything does. */
  current?: number
  /** The answer that ended the last action on it: only newer observations count (R3). */
  lastAction?: { readonly incarnation: string; readonly answer: number }
  /** Since when observations asked for in this session neither prove nor contradict, by its clock. */
  doubtSinceMs?: number
}

export interface RunState {
  readonly plan: Plan
  readonly steps: StepState[]
  readonly hosts: Map<string, HostState>
  /** Steps of each host that are not waived: a host without any is not asked for. */
  readonly dueByHost: Map<string, number>
  /** The boot that each host last answered from, in whatever session. */
  readonly boots: Map<string, string>
  /** Hosts that have booted during the run without being told to: when that was seen. */
  readonly rebooted: Map<string, string>
  /** Hosts that a step of the run has halted: they are not asked for any more. */
  readonly gone: Set<string>
  /** The reboot or halt of each host that has one. */
  readonly hostSteps: ReadonlyMap<string, number>
  /** The stops of instances that the plan also starts. */
  readonly startedAgain: ReadonlySet<number>
  readonly instances: Map<InstanceName, InstanceState>
  /** Steps that are done and were proven in a boot that has ended since: to be seen again before the run ends. */
  readonly reviews: Set<number>
  readonly gates: Gates
  /** Steps whose waits are over and that are not settled: where `decide` looks. */
  readonly open: Set<number>
  readonly inFlight: Set<number>
  readonly unknown: Set<number>
  /** Proofs of which some are enough: that one of them fails is no trouble as long as others prove what is needed. */
  readonly spare: ReadonlySet<number>
  /** Failed or drifted in this session: what holds the run (R7). */
  readonly troubled: Set<number>
  session: number
  policy: FailurePolicy
  patienceMs: number
  stopping: { readonly why: 'cancelled' | 'interrupted'; readonly operator: string } | null
  ended: RunOutcome | null
  /** Whether an operator has waived a step since: what was in the way may be so no more. */
  hasNewWaivers: boolean
}

/** A run of which nothing has happened yet. */
export function beginning(plan: Plan): RunState {
  const gates = new Gates(plan)
  const hosts = new Map<string, HostState>()
  const dueByHost = new Map<string, number>()
  const hostSteps = new Map<string, number>()
  const open = new Set<number>()
  plan.steps.forEach((step, index) => {
    if (isHostStep(step)) hostSteps.set(step.host, index)
    hosts.set(step.host, { kind: 'unclaimed' })
    dueByHost.set(step.host, (dueByHost.get(step.host) ?? 0) + 1)
    if (gates.isOpen(index)) open.add(index)
  })
  return {
    plan,
    steps: plan.steps.map(() => ({
      phase: 'waiting',
      session: 0,
      attempts: 0,
      mayHaveActed: false,
      hadActed: false,
    })),
    hosts,
    dueByHost,
    boots: new Map(),
    rebooted: new Map(),
    gone: new Set(),
    hostSteps,
    startedAgain: startedAgain(plan),
    instances: new Map(),
    reviews: new Set(),
    gates,
    open,
    inFlight: new Set(),
    unknown: new Set(),
    spare: spareProofs(plan),
    troubled: new Set(),
    session: 0,
    policy: 'hold',
    patienceMs: 0,
    stopping: null,
    ended: null,
    hasNewWaivers: false,
  }
}

export function fold(plan: Plan, events: Iterable<RunEvent>): RunState {
  const state = beginning(plan)
  for (const event of events) evolve(state, event)
  return state
}

/** A journal that does not make sense: damaged, or written by a faulty program. Caught by nobody. */
export class ImpossibleEvent extends Error {
  override name = 'ImpossibleEvent'
}

/**
 * Takes one event into the state, in place: the caller owns the state, and the journal is the truth. Throws
 * ImpossibleEvent on what the table of a step's life does not allow.
 */
export function evolve(state: RunState, event: RunEvent): void {
  switch (event.type) {
    case 'session-opened':
      return openSession(state, event)
    case 'claimed': {
      const { grant, ledger, incarnation, boot } = event
      state.hosts.set(event.host, { kind: 'claimed', grant, ledger, incarnation, boot })
      state.boots.set(event.host, boot)
      noteReturn(state, event.host, boot)
      return
    }
    case 'rebooted':
      state.rebooted.set(event.host, event.seenAt)
      for (const [name, { current }] of state.instances) {
        if (name.endsWith(`@${event.host}`)) review(state, current)
      }
      return
    case 'silent': {
      const before = state.hosts.get(event.host)
      const sinceMs = before?.kind === 'silent' ? before.sinceMs : event.atMs
      state.hosts.set(event.host, { kind: 'silent', reason: event.reason, sinceMs })
      return
    }
    case 'claim-refused': {
      const { reason, holder, isForbidden } = event
      state.hosts.set(event.host, { kind: 'refused', reason, holder, ...(isForbidden && { isForbidden }) })
      return
    }
    case 'fenced':
      state.hosts.set(event.host, { kind: 'fenced', holder: event.holder })
      return
    case 'observed':
      keepProof(state, instanceName(event.service, event.host), event.proof)
      noteSight(state, instanceName(event.service, event.host), event.proof)
      return
    case 'stopping':
      state.stopping = { why: event.why, operator: event.operator }
      return
    case 'session-ended':
      state.ended = event.outcome
      return
    default:
      evolveStep(state, event)
  }
}

function openSession(state: RunState, event: Extract<RunEvent, { type: 'session-opened' }>): void {
  if (event.session !== state.session + 1) {
    throw new ImpossibleEvent(`session ${event.session} opened after session ${state.session}`)
  }
  state.session = event.session
  state.policy = event.policy
  state.patienceMs = event.patienceMs
  state.stopping = null
  state.ended = null
  state.hasNewWaivers = false
  state.troubled.clear()
  for (const host of state.hosts.keys()) state.hosts.set(host, { kind: 'unclaimed' })
  for (const instance of state.instances.values()) delete instance.doubtSinceMs
  state.steps.forEach((stepState, index) => {
    stepState.attempts = 0
    delete stepState.retryAtMs
    const step = state.plan.steps[index]!
    if (isHostStep(step) && (stepState.phase === 'sent' || stepState.phase === 'unknown')) {
      stepState.awayUntilMs = event.atMs + step.timeoutMs
      if (stepState.goingDown !== undefined)
        stepState.goingDown = { ...stepState.goingDown, atMs: event.atMs }
    }
    if (step.kind === 'prove') {
      // What was only looked at is looked at again.
      if (stepState.phase !== 'done' && stepState.phase !== 'waived') enter(state, index, 'waiting')
      return
    }
    // What was in flight when the last session ended has been heard of by nobody since (R4).
    if (stepState.phase === 'sent') {
      enter(state, index, 'unknown')
      stepState.reason = 'the coordinator that sent it ended before the answer came'
    }
    if (stepState.phase === 'unknown') stepState.unknownAtMs = event.atMs
  })
}

function evolveStep(state: RunState, event: StepEvent): void {
  const stepState = state.steps[event.step]
  const step = state.plan.steps[event.step]
  if (stepState === undefined || step === undefined)
    throw new ImpossibleEvent(`no step ${event.step} in the plan`)
  if (!mayFollow[event.type].includes(stepState.phase)) {
    throw new ImpossibleEvent(`${stepName(step)} is ${stepState.phase}: it cannot become ${event.type}`)
  }
  if ('action' in event && event.type !== 'sent' && event.action !== undefined && event.type !== 'amended') {
    if (event.action !== stepState.action?.id) {
      throw new ImpossibleEvent(
        `${stepName(step)}: ${event.type} of ${event.action}, which is not its newest action`,
      )
    }
  }
  switch (event.type) {
    case 'sent':
      stepState.action = {
        id: event.action,
        grant: event.grant,
        ledger: event.ledger,
        session: state.session,
        atMs: event.atMs,
        ...(event.going && { going: event.going }),
      }
      delete stepState.goingDown
      if (isHostStep(step)) stepState.awayUntilMs = event.atMs + step.timeoutMs
      stepState.attempts += 1
      stepState.hadActed = stepState.mayHaveActed
      stepState.mayHaveActed = true
      delete stepState.ending
      delete stepState.outcome
      delete stepState.reason
      delete stepState.durationMs
      if (isServiceStep(step)) {
        const instance = instanceOf(state, step)
        // Where an earlier step had left it is past, and need not be seen again.
        if (instance.current !== undefined) state.reviews.delete(instance.current)
        instance.current = event.step
      }
      break
    case 'going-down':
      stepState.goingDown = { hasLeft: event.hasLeft, atMs: event.atMs }
      return
    case 'done':
      stepState.outcome = event.outcome
      stepState.reason = event.reason
      if (event.outcome === 'unchanged' && !isStartedByBoot(state, step)) {
        stepState.mayHaveActed = stepState.hadActed
      }
      if (event.durationMs !== undefined) stepState.durationMs = event.durationMs
      settle(state, event.step, step, event.proof)
      if (isHostStep(step)) passHostStep(state, event.step)
      break
    case 'failed':
      stepState.reason = event.reason
      if (event.ending !== undefined) stepState.ending = event.ending
      settle(state, event.step, step, event.proof)
      break
    case 'unknown':
      stepState.reason = event.reason
      if (stepState.phase !== 'unknown') stepState.unknownAtMs = event.atMs
      break
    case 'sealed':
      stepState.reason = event.reason
      stepState.mayHaveActed = stepState.hadActed
      stepState.retryAtMs = event.retryAtMs
      break
    case 'running':
      delete stepState.reason
      break
    case 'drifted':
      if (!isServiceStep(step))
        throw new ImpossibleEvent(`${stepName(step)} has proven nothing that could drift`)
      stepState.reason = event.reason
      keepProof(state, instanceName(step.service, step.host), event.proof)
      break
    case 'waived':
      stepState.reason = `by ${event.operator}: ${event.reason}`
      state.hasNewWaivers = state.ended !== null
      if (isHostStep(step)) passHostStep(state, event.step)
      state.dueByHost.set(step.host, state.dueByHost.get(step.host)! - 1)
      break
    case 'amended':
      stepState.ending = event.ending
      return
  }
  enter(state, event.step, event.type === 'running' ? 'sent' : event.type)
}

function settle(state: RunState, index: number, step: Step, proof: Proof | undefined): void {
  if (!isServiceStep(step) || proof === undefined) return
  state.steps[index]!.provenIn = proof.boot
  const instance = instanceOf(state, step)
  instance.current = index
  delete instance.doubtSinceMs
  const isByAction = state.steps[index]!.action !== undefined
  // What another process of the agent has seen may be from before the action.
  if (isByAction && instance.proof?.incarnation !== proof.incarnation) delete instance.proof
  keepProof(state, instanceName(step.service, step.host), proof)
  if (isByAction) {
    instance.lastAction = { incarnation: proof.incarnation, answer: proof.answer }
  }
}

function enter(state: RunState, step: number, phase: Phase): void {
  const stepState = state.steps[step]!
  stepState.phase = phase
  stepState.session = state.session
  state.reviews.delete(step)
  place(state.inFlight, step, phase === 'sent')
  const isSpare = state.spare.has(step)
  place(state.unknown, step, phase === 'unknown' && !isSpare)
  place(state.troubled, step, (phase === 'failed' || phase === 'drifted') && !isSpare)
  stand(state, step)
  place(state.open, step, isUnsettled(phase) && state.gates.isOpen(step))
}

/**
 * Notes what a step's phase means to those that wait for it. What is done counts as proven only while all that it needs
 * does: so the database waits for a website that is back although the application between them is down.
 */
function stand(state: RunState, step: number): void {
  // It grows while it is read: a chain of services may be longer than the stack.
  const changed = [step]
  for (const index of changed) {
    state.gates.set(index, standingOf(state, index), (turned) => {
      const { phase } = state.steps[turned]!
      if (isSettled(phase)) changed.push(turned)
      // A gate closes again when what it rests on drifts, or is sent once more.
      place(state.open, turned, isUnsettled(phase) && state.gates.isOpen(turned))
    })
  }
}

function standingOf(state: RunState, step: number): Standing {
  const { phase } = state.steps[step]!
  if (phase === 'done' && !state.gates.hasNeeds(step)) return { met: false, ended: true }
  // A waiver stands for one step's proof, not for those of all that the step itself waits for.
  if (phase === 'waived' && !state.gates.isOpen(step)) return standings.waiting
  return standings[phase]
}

function place(set: Set<number>, member: number, belongs: boolean): void {
  if (belongs) set.add(member)
  else set.delete(member)
}

function keepProof(state: RunState, name: InstanceName, proof: Proof): void {
  const instance = state.instances.get(name)
  if (instance === undefined) state.instances.set(name, { proof })
  else if (instance.proof === undefined || isNewer(proof, instance.proof)) instance.proof = proof
}

/** Keeps since when an instance that the run relies on can be neither proven nor refuted, and what is seen again. */
function noteSight(state: RunState, name: InstanceName, proof: Proof): void {
  const instance = state.instances.get(name)!
  const { current } = instance
  const step = current === undefined ? undefined : state.plan.steps[current]!
  if (current === undefined || step === undefined || !isServiceStep(step) || isPast(state, current)) return
  const verdict = judge(proof.observation, goalOf(step), settleMsOf(state.plan, step.service))
  if (verdict === 'proves' && proof.boot === state.boots.get(step.host)) state.reviews.delete(current)
  if (verdict === 'proves' || verdict === 'contradicts') delete instance.doubtSinceMs
  else instance.doubtSinceMs ??= proof.askedAtMs
}

/** Whether `proof` was made after `other`: answers reorder on their way (R3). */
export function isNewer(proof: Proof, other: Proof): boolean {
  if (proof.incarnation === other.incarnation) return proof.answer > other.answer
  if (proof.session !== other.session) return proof.session > other.session
  return proof.askedAtMs > other.askedAtMs
}

export function instanceOf(state: RunState, step: ServiceStep): InstanceState {
  const name = instanceName(step.service, step.host)
  const known = state.instances.get(name)
  if (known !== undefined) return known
  const fresh: InstanceState = {}
  state.instances.set(name, fresh)
  return fresh
}

/** Where a step wants its instance to be. */
export function goalOf(step: ServiceStep): Goal {
  if (step.kind === 'prove') return step.goal
  return step.kind === 'start' ? 'running' : 'stopped'
}

/** Whether the newest observation of a step's instance contradicts what the step had proven. */
export function contradicts(state: RunState, step: ServiceStep, proof: Proof): boolean {
  const settleMs = settleMsOf(state.plan, step.service)
  if (judge(proof.observation, goalOf(step), settleMs) === 'contradicts') return true
  // A service that is on its way is no longer where it was proven to be.
  return proof.observation.state === 'starting' || proof.observation.state === 'stopping'
}
