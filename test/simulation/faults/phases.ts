import type { Checker } from '../checker/checker.ts'
import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'

/** How far things have come on a host: the columns of the table of faults. */
export const phases = [
  'claim',
  'before send',
  'sent',
  'started',
  'acting',
  'settling',
  'finished',
  'proof',
  'between sessions',
] as const
export type Phase = (typeof phases)[number]

/** A session that goes on. */
export interface LiveSession {
  readonly process: Process
  readonly run: string
}

/** Follows how far things have come on each host, and says so when that changes. */
export class Phases {
  readonly #checker: Checker
  readonly #sessions: () => readonly LiveSession[]
  readonly #onEntered: (host: string, phase: Phase) => void
  readonly #last = new Map<string, Phase>()
  /** Hosts that have been asked what they see, and by whom. */
  readonly #asked = new Map<string, { readonly hash: string; readonly process: Process }>()

  constructor(
    checker: Checker,
    sessions: () => readonly LiveSession[],
    onEntered: (host: string, phase: Phase) => void,
  ) {
    this.#checker = checker
    this.#sessions = sessions
    this.#onEntered = onEntered
  }

  noteFrame(frame: Frame, isDelivered: boolean): void {
    const asked = this.#asked.get(frame.host)
    if (frame.isAnswer && isDelivered && asked?.hash === frame.body['inReplyTo'])
      this.#asked.delete(frame.host)
    if (!frame.isAnswer && !isDelivered && frame.type === 'observe' && frame.from !== undefined) {
      this.#asked.set(frame.host, { hash: frame.hash, process: frame.from })
      // Each question is another one.
      if (this.#last.get(frame.host) === 'proof') this.#last.delete(frame.host)
    }
  }

  /** To be called when something may have changed on a host. */
  review(host: string): void {
    const phase = this.of(host)
    if (this.#last.get(host) === phase) return
    this.#last.set(host, phase)
    this.#onEntered(host, phase)
  }

  of(host: string): Phase {
    const open = this.#checker.openActions(host)
    if (open.some(({ isEffective }) => !isEffective)) return 'started'
    if (open.some(({ isAnswered }) => !isAnswered)) return 'acting'
    if (open.length > 0) return 'settling'
    const sessions = this.#sessions()
    if (sessions.length === 0) return 'between sessions'
    const books = sessions.map(({ run }) => this.#checker.runs.get(run)!)
    for (const { plan, steps } of books) {
      const at = steps.findIndex(({ phase }, step) => phase === 'sent' && plan.steps[step]!.host === host)
      if (at === -1) continue
      return this.#checker.ledgers.get(host)?.ended.has(steps[at]!.action!) === true ? 'finished' : 'sent'
    }
    const asked = this.#asked.get(host)
    if (asked !== undefined && !asked.process.isOver) return 'proof'
    const isClaimed = books.some(({ hosts }) => hosts.get(host)?.kind === 'claimed')
    return isClaimed ? 'before send' : 'claim'
  }
}
