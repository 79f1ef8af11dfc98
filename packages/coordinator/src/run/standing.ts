import type { RunOutcome } from './run-event.ts'
import type { RunState } from './run.ts'

/**
 * `ordered`: it has not begun. `running`: a process carries it out now. `interrupted`: the process that did has
 * ended without a word, and nobody knows yet what became of what was in flight.
 */
export type RunStanding = RunOutcome | 'ordered' | 'running' | 'interrupted'

/** @param isOwned whether a process carries the run out now. */
export function standingOf(state: RunState, isOwned: boolean): RunStanding {
  if (state.ended !== null) return state.ended
  if (isOwned) return 'running'
  return state.session === 0 ? 'ordered' : 'interrupted'
}
