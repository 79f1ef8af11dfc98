import type { Observation } from '@filo/protocol'
import { isHostStep, type Plan, type Step } from '../plan/plan.ts'
import { evolve, fold, type RunState } from './run.ts'
import type { FailurePolicy, Proof, RunEvent } from './run-event.ts'

// Small runs for the tests of this folder: plans of a few steps, observations, and a run that has begun.

const hash = '0'.repeat(64)
export const incarnation = '11111111-1111-4111-8111-111111111111'
export const boot = '22222222-2222-4222-8222-222222222222'
export const ledger = '33333333-3333-4333-8333-333333333333'
const coordinator = '44444444-4444-4444-8444-444444444444'

export const rebootTimeoutMs = 300_000

/** A step without waits, `stop mta@mail1`, `reboot mail1`. */
export function step(
  name: string,
  waits: Partial<Pick<Step, 'needs' | 'follows'>> = {},
  goal: 'running' | 'stopped' = 'stopped',
): Step {
  const [kind, where] = name.split(' ') as ['start' | 'stop' | 'prove' | 'reboot' | 'halt', string]
  const waiting = { needs: [], follows: [], ...waits }
  if (kind === 'reboot' || kind === 'halt') {
    return { kind, host: where, definition: hash, timeoutMs: rebootTimeoutMs, ...waiting }
  }
  const [service, host] = where.split('@') as [string, string]
  const common = { service, host, ...waiting }
  return kind === 'prove' ? { kind, goal, ...common } : { kind, ...common }
}

export function planOf(steps: Step[], joins: Plan['joins'] = []): Plan {
  const service = { definition: hash, settleMs: 0, startTimeoutMs: 60_000, stopTimeoutMs: 60_000 }
  return {
    filo: 1,
    fleet: 'test',
    intention: { verb: 'stop', selection: [], labels: [], only: false },
    services: Object.fromEntries(steps.flatMap((one) => (isHostStep(one) ? [] : [[one.service, service]]))),
    steps,
    joins,
  }
}

export function seen(
  state: Observation['state'],
  live: Observation['live'] = state === 'stopped' ? 'no' : 'yes',
): Observation {
  return { state, live, detail: state, manager: 'lsb', heldMs: 0, seenAt: '2026-01-01T00:00:00.000Z' }
}

let answers = 0
/** A proof from the life of the host that `begun` claims, newer than any before it. */
export function proof(observation: Observation, askedAtMs: number, session = 1): Proof {
  return { observation, session, askedAtMs, incarnation, boot, answer: ++answers }
}

export function opened(session = 1, policy: FailurePolicy = 'hold', atMs = 0): RunEvent {
  return {
    type: 'session-opened',
    session,
    coordinator,
    operator: 'alice@admin1',
    policy,
    patienceMs: 60_000,
    atMs,
  }
}

export function claimed(host: string): RunEvent {
  return { type: 'claimed', host, grant: 1, ledger, incarnation, boot }
}

/** A run whose first session is open and whose hosts are all claimed. */
export function begun(plan: Plan, policy: FailurePolicy = 'hold'): RunState {
  const hosts = new Set(plan.steps.map((one) => one.host))
  return fold(plan, [opened(1, policy), ...[...hosts].map(claimed)])
}

export function actionOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

export function sent(index: number, attempt = 1, atMs = 0): RunEvent {
  return { type: 'sent', step: index, action: actionOf(index * 100 + attempt), grant: 1, ledger, atMs }
}

/** A stop or start that came out well, seen at `atMs`. */
export function done(index: number, plan: Plan, atMs = 0, attempt = 1): RunEvent {
  const goal = plan.steps[index]!.kind === 'start' ? seen('running') : seen('stopped')
  return {
    type: 'done',
    step: index,
    action: actionOf(index * 100 + attempt),
    outcome: 'changed',
    reason: goal.detail,
    proof: proof(goal, atMs),
  }
}

export function take(state: RunState, ...events: RunEvent[]): RunState {
  for (const event of events) evolve(state, event)
  return state
}
