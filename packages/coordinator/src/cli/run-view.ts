import { systemClock } from '@filo/protocol'
import type { createLogUpdate } from 'log-update'
import type { RunWatcher } from '../engine/executor.ts'
import { stepName, type Plan } from '../plan/plan.ts'
import type { RunEvent } from '../run/run-event.ts'
import type { RunState } from '../run/run.ts'
import { activityLines, activityOf, type Activity, type Progress } from './activity.ts'
import type { Colors, Context, Output } from './context.ts'
import { narrate, type Line, type Tone } from './narration.ts'
import { formatMoment } from './when.ts'

/** Shows a run while it is carried out: on stderr for people, on stdout as JSON lines if they are asked for. */
export interface RunView extends RunWatcher, Disposable {
  /** A line between those of the run. */
  say(text: string): void
}

export async function openRunView(context: Context, run: string): Promise<RunView> {
  const { stderr } = context
  const view = stderr.isTerminal ? await TerminalView.open(stderr) : new PlainView(stderr)
  if (context.format !== 'jsonl') return view
  return {
    onEvents(state, events) {
      for (const event of events) context.stdout.write(`${JSON.stringify(eventRecord(run, state, event))}\n`)
      view.onEvents(state, events)
    },
    onProgress: (...all) => view.onProgress(...all),
    say: (text) => view.say(text),
    [Symbol.dispose]: () => view[Symbol.dispose](),
  }
}

/** An event as one JSON line: with the time, its run, and its step by name. */
function eventRecord(run: string, { plan }: RunState, event: RunEvent): object {
  const time = systemClock.wall().toISOString()
  return { time, run, ...event, ...('step' in event && { step: stepName(plan.steps[event.step]!) }) }
}

const paints: Record<Tone, (colors: Colors) => (text: string) => string> = {
  begun: (colors) => colors.dim,
  good: (colors) => colors.green,
  plain: () => (text) => text,
  doubtful: (colors) => colors.yellow,
  bad: (colors) => colors.red,
}

/** `12:03:04 stop mta@mail1  stopped (1.2s)` */
function formatLine({ tone, subject, text }: Line, colors: Colors): string {
  const now = systemClock.wall()
  const time = formatMoment(now.toISOString(), now)
  return `${colors.dim(time)} ${subject}  ${paints[tone](colors)(text)}`
}

/** One line for each event and each line that an action printed, where nobody watches or a file does. */
class PlainView implements RunView {
  readonly #output: Output
  #plan: Plan | undefined

  constructor(output: Output) {
    this.#output = output
  }

  onEvents(state: RunState, events: readonly RunEvent[]): void {
    this.#plan = state.plan
    for (const event of events) {
      const line = narrate(state, event)
      if (line !== undefined) this.say(formatLine(line, this.#output.colors))
    }
  }

  onProgress(step: number, _phase: string, lines: readonly string[]): void {
    if (this.#plan === undefined) return
    const subject = stepName(this.#plan.steps[step]!)
    for (const line of lines) {
      this.say(formatLine({ tone: 'begun', subject, text: `| ${line}` }, this.#output.colors))
    }
  }

  say(text: string): void {
    this.#output.write(`${text}\n`)
  }

  [Symbol.dispose](): void {}
}

const redrawMs = 100

type Screen = ReturnType<typeof createLogUpdate>

/** The same lines, and below them what goes on at this moment. */
class TerminalView implements RunView {
  readonly #output: Output
  readonly #screen: Screen
  readonly #progress = new Map<number, Progress>()
  readonly #timer: NodeJS.Timeout
  #activity: Activity | undefined

  private constructor(output: Output, screen: Screen) {
    this.#output = output
    this.#screen = screen
    this.#timer = setInterval(() => this.#draw(), redrawMs)
  }

  static async open(output: Output): Promise<TerminalView> {
    // What it takes to measure characters is slow to load, and of use on terminals only.
    const { createLogUpdate } = await import('log-update')
    // Not the stream itself: of one that does not say how wide it is, log-update would wrap every character.
    const stream = Object.assign(Object.create(output) as Output, { isTTY: true })
    const screen = createLogUpdate(stream as unknown as NodeJS.WriteStream, { showCursor: true })
    return new TerminalView(output, screen)
  }

  onEvents(state: RunState, events: readonly RunEvent[]): void {
    for (const event of events) {
      const line = narrate(state, event)
      if (line !== undefined && line.tone !== 'begun') this.say(formatLine(line, this.#output.colors))
      if (event.type === 'sent') this.#progress.delete(event.step)
    }
    this.#activity = activityOf(state)
  }

  onProgress(step: number, phase: string, lines: readonly string[]): void {
    this.#progress.set(step, { phase, line: lines.at(-1) ?? this.#progress.get(step)?.line })
  }

  say(text: string): void {
    this.#screen.persist(text)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#screen.clear()
    this.#screen.done()
  }

  #draw(): void {
    if (this.#activity === undefined) return
    const lines = activityLines(this.#activity, this.#progress, systemClock.sinceBoot(), this.#output)
    this.#screen(lines.join('\n'))
  }
}
