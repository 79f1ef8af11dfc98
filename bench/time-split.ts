import type { AuditEvent } from '@filo/protocol'

// Where the time of a command goes, by what it and the agents wrote into their audit logs: the events' own times,
// to the millisecond, of one machine and so of one clock.

/** The parts of a command's wall time one after another, and of a step's; milliseconds. */
export interface TimeSplit {
  /** Node, modules, fleet file, plan, connections: until the run is ordered. */
  readonly startUp: number
  /** Until the last host is claimed. */
  readonly claims: number
  /** Until the last step is done. */
  readonly steps: number
  /** Until the process is gone: the hosts given back, events relayed, connections closed. */
  readonly end: number
  /** The run alone, from the opening of its session to its end; it lies within the parts above. */
  readonly run: number
  /** Medians over all steps: until the agent has recorded the start, then its own work, then until it counts. */
  readonly toStarted: number
  readonly atAgent: number
  readonly toDone: number
  /** Median over the layers: from a layer's last `done` to the first `sent` of the next. */
  readonly betweenLayers: number
}

/** @param events of the coordinator and of all agents, from one run */
export function splitTime(events: readonly AuditEvent[], beganAt: number, endedAt: number): TimeSplit {
  const [ordered] = timesOf(events, 'filo.run.ordered')
  const [opened] = timesOf(events, 'filo.run.opened')
  const [ended] = timesOf(events, 'filo.run.ended')
  const claimed = timesOf(events, 'filo.host.claimed').at(-1)
  const done = timesOf(events, 'filo.step.done')
  if (ordered === undefined || opened === undefined || ended === undefined || claimed === undefined) {
    throw new Error('the journal does not tell of a run that came to its end')
  }
  const started = byAction(events, 'filo.action.started')
  const finished = byAction(events, 'filo.action.finished')
  const sentAt = byAction(events, 'filo.step.sent')
  const doneAt = byAction(events, 'filo.step.done')
  const actions = [...sentAt.keys()]
  const spans = (from: Map<string, number>, to: Map<string, number>): number =>
    median(actions.map((action) => to.get(action)! - from.get(action)!))
  return {
    startUp: ordered - beganAt,
    claims: claimed - ordered,
    steps: done.at(-1)! - claimed,
    end: endedAt - done.at(-1)!,
    run: ended - opened,
    toStarted: spans(sentAt, started),
    atAgent: spans(started, finished),
    toDone: spans(finished, doneAt),
    betweenLayers: median(pauses([...sentAt.values()], [...doneAt.values()])),
  }
}

/** From each `done` after which nothing was in flight to the next `sent`. */
function pauses(sent: readonly number[], done: readonly number[]): number[] {
  const all = [...sent.map((at) => ({ at, by: 1 })), ...done.map((at) => ({ at, by: -1 }))]
  all.sort((one, other) => one.at - other.at || one.by - other.by)
  const found: number[] = []
  let inFlight = 0
  all.forEach(({ at, by }, index) => {
    inFlight += by
    const next = all[index + 1]
    if (inFlight === 0 && next !== undefined) found.push(next.at - at)
  })
  return found
}

function timesOf(events: readonly AuditEvent[], type: string): number[] {
  return events.filter((event) => event.type === type).map(({ time }) => Date.parse(time))
}

function byAction(events: readonly AuditEvent[], type: string): Map<string, number> {
  const found = events.filter((event) => event.type === type && event.data.action !== undefined)
  return new Map(found.map(({ time, data }) => [data.action!, Date.parse(time)]))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
