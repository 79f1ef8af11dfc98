import { instanceName } from '@filo/protocol'
import { isServiceStep, type HostStep, type Plan, type Step } from '../plan/plan.ts'
import type { HostState, RunState } from './run.ts'

// Which hosts a run waits for, and what a boot of one makes of what was known before it. A boot that the plan asks for ends what was proven by design;
// of any other the run says that it was, and what was proven there is seen again before the run ends.

/**
 * The hosts that the run still has to do with, and whose answer it waits for: not those whose every step an operator has
 * waived, nor those that have gone down as they were told.
 */
export function* dueHosts(state: RunState): Generator<HostState> {
  for (const [host, known] of state.hosts) {
    const isSilent = known.kind === 'silent' || known.kind === 'unclaimed'
    if (isDueHost(state, host) && !(isSilent && isGoingDown(state, host))) yield known
  }
}

export function isDueHost(state: RunState, host: string): boolean {
  return state.dueByHost.get(host)! > 0 && !state.gone.has(host)
}

/** Whether its agent has said that the host goes down, and it is still awaited back or gone. */
export function isGoingDown(state: RunState, host: string): boolean {
  const stepState = state.steps[state.hostSteps.get(host) ?? -1]
  return stepState?.phase === 'sent' && stepState.goingDown !== undefined
}

/** Whether a step has told the host to go down, and it is gone, or nobody knows yet. */
export function wasToldToGo(state: RunState, host: string): boolean {
  const stepState = state.steps[state.hostSteps.get(host) ?? -1]
  const isUnderWay = stepState?.phase === 'sent' || stepState?.phase === 'unknown'
  return state.gone.has(host) || (isUnderWay && stepState.action !== undefined)
}

/**
 * Whether that a service was stopped is past: its host is going down, or has booted, which may have started what the plan
 * starts again anyway.
 */
export function isPast(state: RunState, index: number): boolean {
  const step = state.plan.steps[index]!
  const hostStep = step.kind === 'stop' ? state.hostSteps.get(step.host) : undefined
  if (step.kind !== 'stop' || hostStep === undefined) return false
  const { phase } = state.steps[hostStep]!
  if (phase === 'sent' || phase === 'unknown') return true
  // A waiver may come before the step's turn: then nothing has ended yet.
  const isOver = phase === 'done' || (phase === 'waived' && state.gates.isOpen(hostStep))
  return isOver && state.startedAgain.has(index)
}

/** An agent that took leave and is back in the same boot had not gone down with its host. */
export function noteReturn(state: RunState, host: string, boot: string): void {
  const stepState = state.steps[state.hostSteps.get(host) ?? -1]
  if (stepState?.goingDown !== undefined && stepState.action?.going?.boot === boot) {
    stepState.goingDown = { ...stepState.goingDown, hasLeft: false }
  }
}

/** Notes that what the step had proven is of a boot that has ended. */
export function review(state: RunState, index: number | undefined): void {
  if (index === undefined || state.spare.has(index) || isPast(state, index)) return
  if (state.steps[index]!.phase === 'done' && isServiceStep(state.plan.steps[index]!))
    state.reviews.add(index)
}

/** What was known of the host was of the boot that has ended. */
export function passHostStep(state: RunState, index: number): void {
  const { kind, host } = state.plan.steps[index] as HostStep
  const { action } = state.steps[index]!
  // A waiver may come before the step's turn: then there is still something to be done on the host.
  if (kind === 'halt' && state.gates.isOpen(index)) {
    state.gone.add(host)
    // Nothing runs on a host that is off, and nobody can look there.
    for (const each of state.reviews) if (state.plan.steps[each]!.host === host) state.reviews.delete(each)
  }
  const known = state.hosts.get(host)
  if (known?.kind === 'claimed' && known.boot === action?.going?.boot)
    state.hosts.set(host, { kind: 'unclaimed' })
}

/** Whether what a start found running was started by the boot that the plan asked for: as much as if the start had. */
export function isStartedByBoot(state: RunState, step: Step): boolean {
  return step.kind === 'start' && state.hostSteps.has(step.host)
}

/** The stops of instances that the plan also starts. */
export function startedAgain(plan: Plan): ReadonlySet<number> {
  const starts = new Set(
    plan.steps.flatMap((step) => (step.kind === 'start' ? instanceName(step.service, step.host) : [])),
  )
  return new Set(
    plan.steps.flatMap((step, index) =>
      step.kind === 'stop' && starts.has(instanceName(step.service, step.host)) ? index : [],
    ),
  )
}
