import type { AuditEvent } from '@filo/protocol'

/** One thing that happened in a run, for a person. */
export interface StoryLine {
  /** By the clock of the machine that wrote it. */
  readonly time: string
  /** Who wrote it: a host, or the coordinator. */
  readonly teller: string
  readonly text: string
  readonly tone: 'plain' | 'good' | 'doubtful' | 'bad'
}

/**
 * What happened in a run, in the order in which it did: each source's events by their numbers, those of different
 * sources by their times. An event that is given twice is told once.
 */
export function tellStory(run: string, events: Iterable<AuditEvent>): StoryLine[] {
  const chosen = new Map<string, AuditEvent>()
  for (const event of events) {
    if (event.data.run === run) chosen.set(`${event.source} ${event.sequence}`, event)
  }
  return merge([...Map.groupBy(chosen.values(), ({ source }) => source).values()]).flatMap((event) => {
    const text = wordsOf(event)
    return text === undefined
      ? []
      : [{ time: event.time, teller: tellerOf(event), text, tone: toneOf(event) }]
  })
}

/** A clock that is wrong, or was set back, puts no event of a source before the one that it followed. */
function merge(sources: readonly AuditEvent[][]): AuditEvent[] {
  const queues = sources.map((events) => events.toSorted((a, b) => b.sequence - a.sequence))
  const merged: AuditEvent[] = []
  for (;;) {
    const waiting = queues.filter((queue) => queue.length > 0)
    if (waiting.length === 0) return merged
    const earliest = waiting.reduce((first, queue) =>
      queue.at(-1)!.time < first.at(-1)!.time ? queue : first,
    )
    merged.push(earliest.pop()!)
  }
}

function tellerOf({ source }: AuditEvent): string {
  return /^\/agents\/(.+)$/.exec(source)?.[1] ?? 'coordinator'
}

function toneOf({ type, data }: AuditEvent): StoryLine['tone'] {
  if (type === 'filo.step.waived' || type === 'filo.run.stopping') return 'doubtful'
  switch (data.outcome) {
    case undefined:
      return 'plain'
    case 'success':
      return 'good'
    case 'unknown':
      return 'doubtful'
    case 'failure':
    case 'refused':
      return 'bad'
  }
}

/** As much of an action's id as tells it from others, and can be searched for in agents' logs. */
const idLength = 8

/** Undefined for what is of no interest to a person. */
function wordsOf({ type, subject, data }: AuditEvent): string | undefined {
  const { operator = 'somebody', step = subject, reason } = data
  const why = reason === undefined ? '' : `: ${reason}`
  const action = data.action === undefined ? '' : ` (action ${data.action.slice(0, idLength)})`
  const by = ` for ${operator}`
  switch (type) {
    case 'filo.run.ordered': {
      const undoes = data['undoes'] === undefined ? '' : `, to lead back from ${said(data['undoes'])}`
      return `${operator} ordered: ${said(data['verb'])} ${selected(data['selection'])}${undoes}${why}`
    }
    case 'filo.run.opened': {
      const policy =
        data['policy'] === 'continue' ? 'what does not depend on it goes on' : 'nothing new is begun'
      return `${operator} has it carried out (session ${said(data['session'])}); after a failure ${policy}`
    }
    case 'filo.run.stopping':
      return `${operator} ${data['result'] === 'cancelled' ? 'cancelled' : 'interrupted'} it${why}; nothing new is sent`
    case 'filo.run.ended':
      return `the session ended: ${said(data['result'])}`
    case 'filo.run.released':
      return undefined
    case 'filo.host.claimed':
      return `${subject} is ours (grant ${said(data['grant'])})`
    case 'filo.host.silent':
      return `${subject} is silent${why}`
    case 'filo.host.refused':
      return `${subject} refuses the run${why}`
    case 'filo.host.fenced':
      return `${subject} was given to ${said(data['by'] ?? 'somebody else')}`
    case 'filo.host.rebooted':
      return `${subject} has rebooted`
    case 'filo.step.done':
      return `${step}: done, ${said(data['result'])}${why}`
    case 'filo.step.waived':
      return `${step}: waived by ${operator}${why}${opened(data['opens'])}`
    case 'filo.step.amended':
      return `${step}: a late word says ${said(data['result'])}${why}`
    case 'filo.claim.granted':
      return `the host is given to the run${by} (grant ${said(data['grant'])})${taken(data['from'])}`
    case 'filo.claim.released':
      return `the host is given back`
    case 'filo.claim.refused':
      return `the host is refused to ${operator}${why}`
    case 'filo.action.started':
      return `${step} begins${by}${action}`
    case 'filo.action.finished':
      return `${step}: ${said(data['ending'] ?? 'ended')}${why}${action}`
    case 'filo.action.sealed':
      return `an action will never begin${action}${why}`
    default:
      return `${step}: ${type.split('.').at(-1)!.replaceAll('-', ' ')}${why}${action}`
  }
}

function said(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '?'
}

function selected(selection: unknown): string {
  return Array.isArray(selection) && selection.length > 0 ? selection.join(' ') : 'the whole fleet'
}

function opened(steps: unknown): string {
  return Array.isArray(steps) && steps.length > 0 ? `; it no longer holds ${steps.join(', ')}` : ''
}

function taken(from: unknown): string {
  return typeof from === 'object' && from !== null && 'run' in from ? `, taken from ${said(from.run)}` : ''
}
