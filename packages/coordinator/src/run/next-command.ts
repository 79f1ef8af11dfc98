import { dueOn, hasOthersWaiting, nameOf, type Blocker } from './blockers.ts'
import type { RunState } from './run.ts'
import type { RunStanding } from './standing.ts'

// R12. From every stuck state there is a way out, and it is told as it would be typed.

export interface NextCommand {
  readonly command: string
  readonly purpose: string
}

/** What an operator may type next, the likeliest first. */
export function nextCommands(
  run: string,
  state: RunState,
  outcome: RunStanding,
  blockers: readonly Blocker[],
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
      purpose:
        due.length === 1
          ? `if ${silent.name} is gone for good; then resume`
          : `so for each of the ${due.length} on ${silent.name}, if that is gone for good; then resume`,
    })
  }
  const hasChanged = state.steps.some((step) => step.outcome === 'changed')
  // What is not known to have changed cannot be led back.
  const isSettled = state.inFlight.size === 0 && state.unknown.size === 0
  if (hasChanged && isSettled)
    next.push({ command: `filo undo ${run}`, purpose: 'lead back what it changed' })
  return next
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
        : `carry on, once ${worst.heldBy.run} has ended; how it stands: filo show ${worst.heldBy.run}`
  }
}
