import { join } from 'node:path'
import {
  cut,
  instanceName,
  limits,
  type Act,
  type AuditDraft,
  type Ending,
  type HookDefinition,
  type HostVerb,
  type PowerDefinition,
  type Progress,
  type ServiceDefinition,
} from '@filo/protocol'
import type { Logger } from 'pino'
import type { Ledger, OpenAction } from './ledger.ts'
import type { Manager } from './managers/manager.ts'
import { adopt, adoptHook, perform, performHook, type Audience, type Stage } from './perform.ts'
import { adoptPower, performPower } from './power.ts'

// R5. What the ledger says was started is carried out once, or found out about; never started again.
// R11. An action gives a sign of life at least every 5 s.

const signOfLifeMs = 5000
/** How often what an action prints is passed on. */
const linesEveryMs = 1000
/** How often an ending that the ledger could not store is tried again: the disk may have room by then. */
const storeAgainMs = 1000
/** How long an agent that is told to end waits for the command by which its host is to go down to say that it does. */
const askedWithinMs = 5000

/** What an action is about: a service's start or stop, a hook, or the host itself. */
export type Subject =
  | { readonly kind: 'power'; readonly verb: HostVerb; readonly definition: PowerDefinition }
  | { readonly kind: 'service'; readonly verb: 'start' | 'stop'; readonly definition: ServiceDefinition }
  | { readonly kind: 'hook'; readonly definition: HookDefinition }

/** Who hears of an action as it goes on. */
export interface Listener {
  progress(phase: Progress['phase'], lines: readonly string[]): void
  /** The ending is durable, or it is `overdue` and not the last. */
  ended(ending: Ending): void
}

/** What an action is known by, in logs and events. */
type Labels = Pick<OpenAction, 'action' | 'run' | 'step' | 'operator'>

/** What logs and events are told that an action is about. */
export function subjectName({ kind, definition }: Subject, host: string): string {
  return kind === 'power' ? host : instanceName(definition.service, host)
}

/** The actions that run on this host now. */
export class Actions implements AsyncDisposable {
  readonly #stage: Stage
  readonly #host: string
  readonly #ledger: Ledger
  readonly #log: Logger
  readonly #outputDir: string
  readonly #running = new Map<string, AbortController>()
  readonly #overdue = new Set<string>()
  readonly #closing = new AbortController()
  /** Until the host has been asked to go down, or has not. */
  #asking: Promise<void> = Promise.resolve()

  constructor(stage: Stage, host: string, ledger: Ledger, outputDir: string, log: Logger) {
    this.#stage = stage
    this.#host = host
    this.#ledger = ledger
    this.#outputDir = outputDir
    this.#log = log
  }

  /** Carries out an action that the ledger has as started. */
  begin(act: Act, subject: Subject, listener: Listener): void {
    const asking = this.#run(act, subject, listener, 'action begins', (audience, signal) => {
      const task = { ...audience, signal, outputFile: this.#outputFile(subject) }
      if (subject.kind === 'power') return performPower(this.#stage, { ...task, ...subject })
      if (subject.kind === 'hook') return performHook(this.#stage, subject.definition, task)
      return perform(this.#stage, { ...task, ...this.#serviceTask(subject) })
    })
    if (subject.kind === 'power') this.#asking = asking
  }

  /** Finds out what became of an action that an earlier agent process started. @param elapsedMs since it began. */
  adopt(open: OpenAction, subject: Subject, elapsedMs: number, listener: Listener): void {
    const group = Number.isFinite(elapsedMs) ? open.group : undefined
    const opening = 'an action that an earlier agent process began is found out about'
    void this.#run(open, subject, listener, opening, (audience, signal) => {
      const task = { ...audience, signal, outputFile: this.#outputFile(subject) }
      if (subject.kind === 'power') return adoptPower(this.#stage, { ...task, ...subject }, group, elapsedMs)
      if (subject.kind === 'hook') return adoptHook(this.#stage, subject.definition, task, group, elapsedMs)
      return adopt(this.#stage, { ...task, ...this.#serviceTask(subject) }, group, elapsedMs)
    })
  }

  /**
   * Whether the service has to be started through its manager even if it runs, because it was stopped through it: see
   * `owesStart` of managers.
   */
  owesStart({ service, manager }: ServiceDefinition): boolean {
    const its = this.#stage.managers[manager.kind] as Manager
    return (its.owesStart?.(manager) ?? false) && this.#ledger.isStoppedHere(service)
  }

  /** Ends the waiting for an action as its deadline would. */
  abort(action: string): void {
    this.#running.get(action)?.abort()
  }

  /** Whether an action's time is up although it is not over. */
  isOverdue(action: string): boolean {
    return this.#overdue.has(action)
  }

  /**
   * Lets go of what runs, as a crash would, but in order: it is adopted by the next agent process. Where the host itself
   * goes down, that is said before: the shutdown may end this process before the command that asked for it has ended.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const asked = new AbortController()
    const late = this.#stage.clock.sleep(askedWithinMs, asked.signal).catch(() => {})
    await Promise.race([this.#asking, late])
    asked.abort()
    this.#closing.abort()
  }

  #serviceTask({ verb, definition }: Extract<Subject, { kind: 'service' }>) {
    return { verb, definition, isOwed: verb === 'start' && this.owesStart(definition) }
  }

  /** No name of a service begins like that of the host's own file. */
  #outputFile(subject: Subject): string {
    const name = subject.kind === 'power' ? `_${subject.verb}` : subject.definition.service
    return join(this.#outputDir, `${name}.log`)
  }

  /** Gives a promise that is kept when nothing more has to be done for it to come about, or it is over. */
  #run(
    action: Labels,
    subject: Subject,
    listener: Listener,
    opening: string,
    carryOut: (audience: Audience, signal: AbortSignal) => Promise<Ending>,
  ): Promise<void> {
    const log = this.#log.child({ run: action.run, step: action.step, action: action.action })
    const aborting = new AbortController()
    const pulse = new Pulse(listener)
    const asked = Promise.withResolvers<void>()
    const ticking = this.#tick(pulse)
    const audience: Audience = {
      onLine: (line) => pulse.line(line),
      onPhase: (phase) => {
        pulse.phase(phase)
        if (pulse.isWaiting) asked.resolve()
        // Of a host that goes down there may be no later word.
        if (subject.kind === 'power') pulse.flush(true)
      },
      onProcess: (group) => this.#ledger.noteGroup(action.action, group),
      onOverdue: (ending) => {
        this.#overdue.add(action.action)
        log.warn({ reason: ending.reason }, 'overdue')
        listener.ended(ending)
      },
      letGo: this.#closing.signal,
    }
    log.info({ subject: subject.kind, operator: action.operator }, opening)
    if (subject.kind === 'power') {
      const takeLeave = (): void => {
        if (pulse.isWaiting) listener.progress('leaving', [])
      }
      this.#closing.signal.addEventListener('abort', takeLeave, { once: true })
    }
    const finish = async (): Promise<void> => {
      const ending = await carryOut(audience, aborting.signal).catch((error: unknown): Ending => {
        this.#closing.signal.throwIfAborted()
        log.error({ err: error }, 'the action could not be carried out')
        const reason = cut(`the agent failed: ${error instanceof Error ? error.message : String(error)}`)
        return { outcome: 'unproven', reason, durationMs: 0 }
      })
      // Until it is stored it is not over, and whoever waits is to hear that somebody is at it.
      await this.#store(action, subject, ending, log).finally(() => ticking.stop())
      this.#running.delete(action.action)
      this.#overdue.delete(action.action)
      log.info({ outcome: ending.outcome, reason: ending.reason }, 'action ended')
      pulse.flush()
      listener.ended(ending)
    }
    finish()
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted) log.error({ err: error }, 'the ending of the action was lost')
      })
      .finally(() => asked.resolve())
    this.#running.set(action.action, aborting)
    return asked.promise
  }

  /** Stores an ending, again and again while the disk is full: until then the instance stays busy. */
  async #store(action: Labels, subject: Subject, ending: Ending, log: Logger): Promise<void> {
    for (;;) {
      try {
        this.#closing.signal.throwIfAborted()
        const event = finishEvent(action, subjectName(subject, this.#host), ending)
        this.#ledger.finish(action.action, ending, event)
        return
      } catch (error) {
        this.#closing.signal.throwIfAborted()
        log.error({ err: error }, 'the ending of the action cannot be stored; trying again')
        await this.#stage.clock.sleep(storeAgainMs, this.#closing.signal)
      }
    }
  }

  #tick(pulse: Pulse): { stop(): void } {
    const stopped = new AbortController()
    const until = AbortSignal.any([stopped.signal, this.#closing.signal])
    void (async () => {
      for (let quietMs = 0; ;) {
        await this.#stage.clock.sleep(linesEveryMs, until)
        quietMs += linesEveryMs
        if (pulse.hasLines || quietMs >= signOfLifeMs) {
          pulse.flush(true)
          quietMs = 0
        }
      }
    })().catch(() => {})
    return { stop: () => stopped.abort('it has ended') }
  }
}

/** What is to be said of an action since it was last said. */
class Pulse {
  readonly #listener: Listener
  #phase: Progress['phase'] = 'acting'
  #lines: string[] = []
  #dropped = 0

  constructor(listener: Listener) {
    this.#listener = listener
  }

  /** Whether what was asked for has been asked for, and only has to come about. */
  get isWaiting(): boolean {
    return this.#phase === 'waiting'
  }

  get hasLines(): boolean {
    return this.#lines.length > 0
  }

  phase(phase: Progress['phase']): void {
    this.#phase = phase
  }

  line(line: string): void {
    if (this.#lines.length < limits.progressLines - 1) this.#lines.push(cut(line, limits.progressLineChars))
    else this.#dropped += 1
  }

  flush(evenIfQuiet = false): void {
    if (!evenIfQuiet && !this.hasLines) return
    const lines = this.#dropped > 0 ? [...this.#lines, `… ${this.#dropped} lines dropped`] : this.#lines
    this.#lines = []
    this.#dropped = 0
    this.#listener.progress(this.#phase, lines)
  }
}

function finishEvent(action: Labels, subject: string, ending: Ending): AuditDraft {
  const outcomes = {
    changed: 'success',
    unchanged: 'success',
    failed: 'failure',
    interrupted: 'failure',
    unproven: 'unknown',
    overdue: 'unknown',
  } as const
  return {
    type: 'filo.action.finished',
    subject,
    data: {
      outcome: outcomes[ending.outcome],
      run: action.run,
      step: action.step,
      action: action.action,
      operator: action.operator,
      reason: ending.reason,
      ending: ending.outcome,
      ...(ending.observation && {
        after: { state: ending.observation.state, live: ending.observation.live },
      }),
    },
  }
}
