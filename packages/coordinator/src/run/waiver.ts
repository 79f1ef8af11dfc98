import { listing } from '../fleet/listing.ts'
import { hint } from '../fleet/problem.ts'
import { stepName } from '../plan/plan.ts'
import { waitersOf } from '../plan/waiters.ts'
import type { RunState } from './run.ts'

/** Whether a step may be waived, with what the operator is told. */
export type WaiverVerdict =
  | { readonly kind: 'allowed'; readonly step: number; readonly detail: string }
  | { readonly kind: 'refused'; readonly detail: string }

/** Judges a waiver of the step of that name, `stop mta@mail1`, in a run that stands as `state`. */
export function judgeWaiver(state: RunState, name: string): WaiverVerdict {
  const names = state.plan.steps.map(stepName)
  const step = names.indexOf(name)
  const phase = state.steps[step]?.phase
  if (phase === undefined)
    return { kind: 'refused', detail: `the plan has no step "${name}"${hint(name, names)}` }
  if (phase === 'sent') {
    return { kind: 'refused', detail: `"${name}" is in flight: first find out what becomes of it` }
  }
  if (phase === 'waived') return { kind: 'refused', detail: `"${name}" is waived already` }
  // One that is done may be waived too: its host may be gone for good, and its proof is asked for again.
  const gates = waitersOf(state.plan, step).filter((index) => state.steps[index]!.phase === 'waiting')
  const opened = listing(gates.map((index) => `"${names[index]!}"`))
  const opens = gates.length === 0 ? 'no step waits for it' : `it no longer holds ${opened}`
  return { kind: 'allowed', step, detail: `"${name}" counts as done, without proof, on your word; ${opens}` }
}
