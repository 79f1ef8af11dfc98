import type { RunEvent } from '../../packages/coordinator/src/run/run-event.ts'
import { titleOf, type PlanRead } from './checker/plan.ts'
import type { TimedRow } from './world/disk.ts'
import type { Frame } from './world/frame.ts'
import type { Process } from './world/process.ts'
import type { Time } from './world/time.ts'

/** What happened in a play, for a person; keeps nothing unless it is asked to. */
export class Trace {
  readonly lines: string[] = []
  readonly #time: Time
  readonly #isKept: boolean

  constructor(time: Time, isKept: boolean) {
    this.#time = time
    this.#isKept = isKept
  }

  tell(words: string): void {
    if (this.#isKept) this.lines.push(`${(this.#time.nowMs / 1000).toFixed(3).padStart(10)} ${words}`)
  }

  events(process: Process, run: string, events: readonly RunEvent[], plan: PlanRead): void {
    if (!this.#isKept) return
    for (const event of events) this.tell(`${process.name} notes for ${run}: ${wordsOf(event, plan)}`)
  }

  rows(process: Process, rows: readonly TimedRow[]): void {
    if (!this.#isKept) return
    for (const { row } of rows)
      this.tell(`${process.name} writes ${row.map((one) => cut(String(one))).join(' ')}`)
  }

  frame(verb: 'sends' | 'hears', frame: Frame, process: Process | undefined = frame.from): void {
    if (!this.#isKept) return
    const { type, body, from } = frame
    const forged = from === undefined ? ' (forged)' : ''
    this.tell(`${process?.name ?? 'somebody'} ${verb} ${type}${forged} ${detailOf(body)}`)
  }
}

function wordsOf(event: RunEvent, plan: PlanRead): string {
  if ('step' in event) {
    const reason = 'reason' in event ? `: ${cut(event.reason, 90)}` : ''
    const action = 'action' in event && event.action !== undefined ? ` as ${event.action.slice(0, 8)}` : ''
    const outcome = 'outcome' in event ? ` ${event.outcome}` : ''
    return `${event.type} ${titleOf(plan.steps[event.step]!)}${action}${outcome}${reason}`
  }
  if (event.type === 'observed') {
    const { state, live, heldMs, detail } = event.proof.observation
    return `observed ${event.service}@${event.host} ${state}/${live} for ${Math.round(heldMs)} ms: ${cut(detail, 80)}`
  }
  return cut(JSON.stringify(event), 200)
}

/** What is told of a message, in this order. */
const toldOf = [
  'host',
  'verb',
  'service',
  'services',
  'grant',
  'takeOver',
  'action',
  'actions',
  'observations',
  'reason',
  'detail',
  'ending',
  'sealed',
  'isRepeated',
]

function detailOf(body: Readonly<Record<string, unknown>>): string {
  const told = toldOf
    .map((key) => [key, body[key]] as const)
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
  return cut(told.map(([key, value]) => `${key}=${cut(JSON.stringify(value), 150)}`).join(' '), 300)
}

function cut(text: string, chars = 60): string {
  return text.length <= chars ? text : `${text.slice(0, chars)}…`
}
