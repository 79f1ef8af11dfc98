import { isHostStep, stepName, type Step } from '../plan/plan.ts'
import { isGoingDown, wasToldToGo } from '../run/hosts.ts'
import type { RunEvent } from '../run/run-event.ts'
import type { RunState } from '../run/run.ts'
import { counted } from './plan-view.ts'
import { formatDuration } from './when.ts'

/** How a line is meant: `begun` is of no interest to who sees the step itself. */
export type Tone = 'begun' | 'good' | 'plain' | 'doubtful' | 'bad'

/** An event of a run in words. */
export interface Line {
  readonly tone: Tone
  /** The step, host or run that it happened to. */
  readonly subject: string
  readonly text: string
}

/** What an operator is told of an event, if anything; `state` has taken the event in. */
export function narrate(state: RunState, event: RunEvent): Line | undefined {
  switch (event.type) {
    case 'session-opened':
    case 'claimed':
    case 'observed':
    case 'session-ended':
      return undefined
    case 'silent':
      return isGoingDown(state, event.host)
        ? { tone: 'plain', subject: event.host, text: `is down (${event.reason})` }
        : { tone: 'doubtful', subject: event.host, text: `${event.reason}; ${awaited(state, event.host)}` }
    case 'rebooted': {
      const text = `has rebooted during the run (seen at ${event.seenAt}): what was proven there is seen again`
      return { tone: 'doubtful', subject: event.host, text }
    }
    case 'claim-refused':
      return { tone: 'bad', subject: event.host, text: event.reason }
    case 'fenced': {
      const by =
        event.holder === null
          ? 'another run, which has ended'
          : `${event.holder.run} of ${event.holder.operator}`
      return { tone: 'bad', subject: event.host, text: `taken over by ${by}: nothing new is sent` }
    }
    case 'stopping': {
      const because = event.reason === undefined ? '' : ` (${event.reason})`
      const { inFlight, unknown } = state
      const waits = [
        ...(inFlight.size === 0 ? [] : [`${counted(inFlight.size, 'step')} in flight awaited`]),
        ...(unknown.size === 0 ? [] : [`${counted(unknown.size, 'unknown step')} ${askedAgain(state)}`]),
      ]
      const text = [`by ${event.operator}${because}: nothing new is sent`, ...waits].join('; ')
      return { tone: 'doubtful', subject: event.why, text }
    }
    default: {
      const step = state.plan.steps[event.step]!
      const told = narrateStep(state, step, event)
      return told && { ...told, subject: stepName(step) }
    }
  }
}

type StepEvent = Extract<RunEvent, { readonly step: number }>

/** What the run waits for where an answer is missing. */
/** How long a host is waited for: one that was told to go down, for as long as that may take. */
function awaited(state: RunState, host: string): string {
  const step = state.plan.steps[state.hostSteps.get(host) ?? -1]
  if (step === undefined || !isHostStep(step) || !wasToldToGo(state, host)) return askedAgain(state)
  return `it was told to ${step.kind}, which may take ${formatDuration(step.timeoutMs)}`
}

function askedAgain({ patienceMs }: RunState): string {
  return patienceMs === 0
    ? 'not asked again (--patience)'
    : `asked again for up to ${formatDuration(patienceMs)} (--patience)`
}

function narrateStep(state: RunState, step: Step, event: StepEvent): Omit<Line, 'subject'> | undefined {
  switch (event.type) {
    case 'sent':
      return { tone: 'begun', text: 'begins' }
    case 'going-down':
      return event.hasLeft ? undefined : { tone: 'plain', text: 'is on its way' }
    case 'done': {
      if (event.outcome === 'unneeded') return undefined
      const warnings = event.outcome === 'changed' ? (event.proof?.observation.warnings ?? []) : []
      return {
        tone: warnings.length === 0 ? 'good' : 'doubtful',
        text: [success(step, event), ...warnings].join('; '),
      }
    }
    case 'failed':
      return { tone: 'bad', text: `failed: ${event.reason}` }
    case 'unknown':
      return { tone: 'doubtful', text: `unknown: ${event.reason}; ${askedAgain(state)}` }
    case 'sealed':
      return { tone: 'doubtful', text: `did not begin: ${event.reason}` }
    case 'running':
      return { tone: 'plain', text: 'had begun after all, and is under way' }
    case 'drifted':
      return { tone: 'bad', text: `drifted: ${event.reason}` }
    case 'waived':
      return { tone: 'doubtful', text: `waived by ${event.operator}: ${event.reason}` }
    case 'amended':
      return { tone: 'plain', text: `late word: ${event.ending.outcome}, ${event.ending.reason}` }
  }
}

function success(step: Step, event: Extract<RunEvent, { type: 'done' }>): string {
  const time = event.durationMs === undefined ? '' : ` (${formatDuration(event.durationMs)})`
  if (step.kind === 'hook') return `ran${time}`
  if (step.kind === 'reboot') return `has booted${time}`
  if (step.kind === 'halt') return `is gone${time}`
  const goal = step.kind === 'start' || (step.kind === 'prove' && step.goal === 'running')
  const state = goal ? 'running' : 'stopped'
  if (event.outcome === 'changed') return `${step.kind === 'start' ? 'started' : 'stopped'}${time}`
  if (event.outcome === 'unchanged') return `was ${state} already`
  return `is ${state}`
}
