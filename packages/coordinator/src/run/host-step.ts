import type { Ending } from '@filo/protocol'
import type { HostStep } from '../plan/plan.ts'
import type { RunState } from './run.ts'
import type { RunEvent } from './run-event.ts'

// What is heard, or no longer heard, of a host that was told to reboot or to halt. That it has booted is proven by an
// answer from another boot, whoever gives it; that it is gone, by the word of its agent that it goes down with its host,
// and silence after that. Silence alone proves nothing (R4).

/** How long the agent of a halted host must be silent after its last word: one that is restarted is back before. */
export const goneAfterMs = 5000

/** The end of a reboot or halt by the agent's ledger, which answers from `boot`. */
export function interpretBooted(
  state: RunState,
  index: number,
  ending: Ending,
  boot: string,
  nowMs: number,
): RunEvent[] {
  const { kind, host } = state.plan.steps[index] as HostStep
  const { id: action, going } = state.steps[index]!.action!
  const at = { step: index, action }
  if (boot === going?.boot) {
    const reason = `reported as done, but ${host} answers from the boot that was to end`
    return [{ type: 'failed', ...at, reason, ending }]
  }
  if (kind === 'halt') return [{ type: 'failed', ...at, reason: upAgain(host), ending }]
  const { reason } = ending
  return [{ type: 'done', ...at, outcome: 'changed', reason, ...tookMs(state, index, nowMs) }]
}

/** What it means for a reboot or halt that the host answers from `boot`, where its ledger says nothing of the action. */
export function interpretReturn(state: RunState, index: number, boot: string): RunEvent[] {
  const { kind, host } = state.plan.steps[index] as HostStep
  const { phase, action } = state.steps[index]!
  const isAwaited = phase === 'sent' || phase === 'unknown'
  if (!isAwaited || action?.going === undefined || boot === action.going.boot) return []
  const at = { step: index, action: action.id }
  if (kind === 'halt') return [{ type: 'failed', ...at, reason: upAgain(host) }]
  const reason = 'it answers from another boot than the one that was to end'
  return [{ type: 'done', ...at, outcome: 'observed', reason }]
}

function upAgain(host: string): string {
  return `${host} went down, but it is up again: it answers from another boot`
}

/** What it means for a reboot or halt that the host answers from the boot that was to end, and nothing goes on there. */
export function interpretStayed(state: RunState, index: number, nowMs: number): RunEvent[] {
  const { kind, host } = state.plan.steps[index] as HostStep
  const { phase, action, awayUntilMs = nowMs } = state.steps[index]!
  if (phase !== 'unknown' || action === undefined || nowMs < awayUntilMs) return []
  const reason = `${host} is still up, in the boot that was to end, and the time for its ${kind} is over`
  return [{ type: 'failed', step: index, action: action.id, reason }]
}

/** What the silence of a host means for its halt. */
export function interpretSilence(state: RunState, host: string, nowMs: number): RunEvent[] {
  const index = state.hostSteps.get(host)
  const known = state.hosts.get(host)
  if (index === undefined || known?.kind !== 'silent') return []
  const { phase, action, goingDown } = state.steps[index]!
  const isAwaited = phase === 'sent' || phase === 'unknown'
  if (state.plan.steps[index]!.kind !== 'halt' || !isAwaited || !goingDown?.hasLeft) return []
  // A question from before its last word may have been lost.
  if (nowMs - Math.max(known.sinceMs, goingDown.atMs) < goneAfterMs) return []
  const reason = 'its agent went down with it, and nobody answers there any more'
  const at = { step: index, action: action!.id }
  return [{ type: 'done', ...at, outcome: 'changed', reason, ...tookMs(state, index, nowMs) }]
}

/** From the command to what is known now, where both are of one session's clock. */
function tookMs(state: RunState, index: number, nowMs: number): { readonly durationMs?: number } {
  const { session, atMs } = state.steps[index]!.action!
  return session === state.session ? { durationMs: nowMs - atMs } : {}
}

/** Whether nobody expects an answer of the step's host now: it goes down, and its time is not over. */
export function isAwaitedAway(state: RunState, index: number, nowMs: number): boolean {
  const { goingDown, awayUntilMs = nowMs } = state.steps[index]!
  return goingDown !== undefined && nowMs < awayUntilMs
}
