import { isHostStep, stepName, type HostStep } from '../plan/plan.ts'
import { isGoingDown } from '../run/hosts.ts'
import type { RunState } from '../run/run.ts'
import type { Colors } from './context.ts'
import { fit } from './table.ts'
import { formatDuration } from './when.ts'

/** What goes on in a run at one moment. */
export interface Activity {
  readonly items: readonly ActivityItem[]
  readonly done: number
  readonly steps: number
  readonly held: number
}

export interface ActivityItem {
  readonly kind: 'in-flight' | 'unknown' | 'silent'
  /** The step's number; absent for hosts. */
  readonly step?: number
  readonly name: string
  /** Its host goes down, and nothing is expected to be heard of it. */
  readonly goingDown?: HostStep['kind']
  /** By the session's clock; absent where it began before the session. */
  readonly sinceMs?: number
}

/** The newest sign of life of a step. */
export interface Progress {
  readonly phase: string
  readonly line: string | undefined
}

export function activityOf(state: RunState): Activity {
  const { steps, plan } = state
  const inFlight = [...state.inFlight].map((step): ActivityItem => {
    const action = steps[step]!.action
    const isOurs = action?.session === state.session
    const planned = plan.steps[step]!
    return {
      kind: 'in-flight',
      step,
      name: stepName(planned),
      ...(isHostStep(planned) && isGoingDown(state, planned.host) && { goingDown: planned.kind }),
      ...(isOurs && { sinceMs: action.atMs }),
    }
  })
  const unknown = [...state.unknown].map((step): ActivityItem => {
    const { unknownAtMs } = steps[step]!
    const name = stepName(plan.steps[step]!)
    return { kind: 'unknown', step, name, ...(unknownAtMs !== undefined && { sinceMs: unknownAtMs }) }
  })
  const silent = [...state.hosts].flatMap(([name, host]): ActivityItem[] =>
    host.kind === 'silent' && !state.gone.has(name) && !isGoingDown(state, name)
      ? [{ kind: 'silent', name, sinceMs: host.sinceMs }]
      : [],
  )
  const done = steps.filter(({ phase }) => phase === 'done' || phase === 'waived').length
  return { items: [...inFlight, ...unknown, ...silent], done, steps: steps.length, held: state.troubled.size }
}

/** More lines than this push the rest of the screen away. */
const mostItems = 12

/** The live part of the view: one line for each item with its age and last output, and a count below. */
export function activityLines(
  { items, done, steps, held }: Activity,
  progress: ReadonlyMap<number, Progress>,
  nowMs: number,
  { colors, columns }: { readonly colors: Colors; readonly columns: number },
): string[] {
  const shown = items.slice(0, mostItems)
  const width = shown.reduce((widest, { name }) => Math.max(widest, name.length), 0)
  const lines = shown.map((item) => {
    const age = item.sinceMs === undefined ? '' : formatDuration(Math.max(0, nowMs - item.sinceMs))
    const text = fit(
      `  ${item.name.padEnd(width)}  ${age.padStart(6)}  ${detailOf(item, progress)}`,
      columns - 1,
    )
    return item.kind === 'in-flight' ? text : colors.yellow(text)
  })
  if (items.length > shown.length) lines.push(`  and ${items.length - shown.length} more`)
  const troubles = held === 0 ? '' : `, ${held} failed`
  const summary = `  ${done} of ${steps} steps done, ${items.length} in progress${troubles}`
  return [...lines, colors.dim(fit(summary, columns - 1))]
}

function detailOf(item: ActivityItem, progress: ReadonlyMap<number, Progress>): string {
  if (item.kind === 'silent') return 'does not answer'
  if (item.kind === 'unknown') return 'unknown: its agent is asked again'
  if (item.goingDown !== undefined) return item.goingDown === 'reboot' ? 'rebooting' : 'halting'
  const latest = item.step === undefined ? undefined : progress.get(item.step)
  if (latest === undefined) return ''
  return latest.line === undefined ? latest.phase : `${latest.phase}: ${latest.line}`
}
