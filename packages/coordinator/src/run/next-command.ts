import { listing } from '../fleet/listing.ts'
import { dueOn, hasOthersWaiting, nameOf, type Blocker } from './blockers.ts'
import type { RunState } from './run.ts'
import type { RunStanding } from './standing.ts'

// R12. From every stuck state there is a way out, and it is told as it would be typed.

export interface NextCommand {
  readonly command: string
  readonly purpose: string
}

/** What the ways out of a run are told by. */
interface Stuck {
  readonly run: string
  readonly state: RunState
  readonly outcome: RunStanding
  /** The worst first. */
  readonly blockers: readonly Blocker[]
  readonly standingOfRun: (run: string) => RunStanding | undefined
}

/** What an operator may type next, the likeliest first. */
export function nextCommands(stuck: Stuck): NextCommand[] {
  const { run, state, outcome, blockers } = stuck
  if (outcome === 'succeeded' || outcome === 'waived') return []
  if (outcome === 'running') return [{ command: `filo cancel ${run}`, purpose: 'have it send nothing new' }]
  const next = [
    ...freeingHolders(stuck),
    { command: `filo resume ${run}`, purpose: purposeOfResume(blockers) },
    ...takingOver(run, blockers),
    ...aboutSteps(stuck),
    ...aboutSilence(stuck),
  ]
  const hasChanged = state.steps.some((step) => step.outcome === 'changed')
  // What is not known to have changed cannot be led back.
  const isSettled = state.inFlight.size === 0 && state.unknown.size === 0
  if (hasChanged && isSettled)
    next.push({ command: `filo undo ${run}`, purpose: 'lead back what it changed' })
  return next
}

/** A run that stands still and holds hosts of this one is carried on first; one that goes on is looked at. */
function freeingHolders({ blockers, standingOfRun }: Stuck): NextCommand[] {
  const held = blockers.filter(
    ({ is, heldBy }) => heldBy !== undefined && (is === 'refused' || is === 'fenced'),
  )
  return [...Map.groupBy(held, ({ heldBy }) => heldBy!.run)].flatMap(([holder, hosts]): NextCommand[] => {
    const names = listing(
      hosts.map(({ name }) => name),
      hostsNamed,
    )
    switch (standingOfRun(holder)) {
      case undefined:
        return [] // A run of another coordinator: it can only be waited for, or its hosts taken.
      case 'running':
        return [{ command: `filo show ${holder}`, purpose: `see how far the run is that holds ${names}` }]
      case 'succeeded':
      case 'waived':
        return []
      default:
        return [
          {
            command: `filo resume ${holder}`,
            purpose: `first carry on with the run that holds ${names}: nobody does`,
          },
        ]
    }
  })
}

function takingOver(run: string, blockers: readonly Blocker[]): NextCommand[] {
  const [worst] = blockers
  if (worst?.heldBy === undefined) return []
  const purpose = `take ${worst.name} from ${worst.heldBy.run}, if that is known to be over`
  return [{ command: `filo resume ${run} --take-over`, purpose }]
}

function aboutSteps({ run, state, outcome, blockers }: Stuck): NextCommand[] {
  const blocking = blockers.find(({ kind }) => kind === 'step')
  // What was in flight when a process died cannot be judged before it has been asked about.
  if (blocking === undefined || outcome === 'interrupted') return []
  const waive = {
    command: `filo waive ${run} "${blocking.name}" --reason …`,
    purpose: 'count it as done without proof, on your word; then resume',
  }
  if (state.policy !== 'hold' || !hasOthersWaiting(state)) return [waive]
  const purpose = 'the same, and go on with what does not depend on it'
  return [waive, { command: `filo resume ${run} --continue`, purpose }]
}

/** How many hosts are named in a sentence, and have a line of their own. */
const hostsNamed = 4

function aboutSilence({ run, state, blockers }: Stuck): NextCommand[] {
  const silent = blockers.filter(({ is }) => is === 'silent')
  if (silent.length === 0) return []
  const waivers = silent.slice(0, hostsNamed).map(({ name }): NextCommand => {
    const due = dueOn(state, name)
    const [first] = due
    const purpose =
      due.length === 1
        ? `if ${name} is gone for good; then resume`
        : `so for each of the ${due.length} on ${name}, if that is gone for good; then resume`
    return { command: `filo waive ${run} "${nameOf(state, first!)}" --reason …`, purpose }
  })
  return [{ command: 'filo doctor', purpose: 'see why they do not answer' }, ...waivers]
}

function purposeOfResume(blockers: readonly Blocker[]): string {
  const [worst] = blockers
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
    case 'silent': {
      const silent = blockers.filter(({ is }) => is === 'silent').map(({ name }) => name)
      return silent.length === 1
        ? `carry on, once ${silent[0]!} answers: is its filo-agent running?`
        : `carry on, once all of these answer: ${listing(silent, hostsNamed)}; do their filo-agents run?`
    }
    case 'fenced':
    case 'refused':
      if (worst.isForbidden) return `carry on, once ${worst.name} allows it`
      return worst.heldBy === undefined
        ? `carry on, once ${worst.name} has been put right`
        : `carry on, once ${worst.heldBy.run} of ${worst.heldBy.operator} has ended`
  }
}
