import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'

// R11. An agent gives a sign of life of an action at least every 5 s; a coordinator asks after 10 s without a word;
//      what is asked is answered whatever else goes on.

const signOfLifeMs = 5000
const inquireMs = 10_000
/** Two looks, each bounded by 10 s, and what they have to settle for between. */
const answerMs = 23_000
const slackMs = 1500
/** R13: what comes to an agent beside so many others is dropped, and asked again by whoever meant it. */
const commandsAtOnce = 64

/** Who has heard and said what of which action, and when. */
export class Timeliness {
  readonly #violate: (rule: string, words: string) => void
  /** By action: when a process of the agent last spoke of it. */
  readonly #spokeAtMs = new Map<string, number>()
  /** By process and action: when a coordinator last heard or asked of it. */
  readonly #wordAtMs = new Map<string, number>()
  readonly #asked = new Set<string>()
  readonly #arrivals = new WeakMap<Process, { readonly count: number; readonly atMs: number }>()
  readonly #unanswered = new Map<string, { readonly process: Process; readonly atMs: number }>()

  constructor(violate: (rule: string, words: string) => void) {
    this.#violate = violate
  }

  sent(frame: Frame): void {
    const { from, body } = frame
    if (from === undefined) return
    if (frame.isAnswer) {
      this.#unanswered.delete(body['inReplyTo'] as string)
      for (const action of actionsOf(frame)) this.#spokeAtMs.set(action, from.nowMs)
    } else if (frame.type === 'inquire') {
      for (const action of body['actions'] as string[])
        this.#wordAtMs.set(`${from.name}/${action}`, from.nowMs)
    } else if (frame.type === 'seal') this.#wordAtMs.set(`${from.name}/${String(body['action'])}`, from.nowMs)
  }

  delivered(frame: Frame, to: Process): void {
    if (!frame.isAnswer) {
      const isCrowded = this.#crowd(to) > commandsAtOnce
      // A copy is not answered again.
      if (frame.type !== 'observe' || this.#asked.has(frame.hash)) return
      this.#asked.add(frame.hash)
      if (!isCrowded) this.#unanswered.set(frame.hash, { process: to, atMs: to.nowMs })
      return
    }
    for (const action of actionsOf(frame)) this.#wordAtMs.set(`${to.name}/${action}`, to.nowMs)
  }

  /** An action that a session has in flight, on a host that it holds. */
  expectWord(coordinator: Process, action: string, sinceMs: number): void {
    const wordAtMs = this.#wordAtMs.get(`${coordinator.name}/${action}`) ?? 0
    const quietMs = this.#quietMs(coordinator, Math.max(sinceMs, wordAtMs))
    if (quietMs > inquireMs + slackMs)
      this.#violate('R11', `nobody asks after ${quietMs} ms without a word of ${action}`)
  }

  /** An action that an agent has under way. */
  expectSignOfLife(agent: Process, action: string, sinceMs: number): void {
    const quietMs = this.#quietMs(agent, Math.max(sinceMs, this.#spokeAtMs.get(action) ?? 0))
    if (quietMs > signOfLifeMs + slackMs)
      this.#violate('R11', `${agent.name} says nothing of ${action} for ${quietMs} ms`)
  }

  expectAnswers(): void {
    for (const [hash, { process, atMs }] of this.#unanswered) {
      if (process.isOver) this.#unanswered.delete(hash)
      else if (this.#quietMs(process, atMs) > answerMs) {
        this.#unanswered.delete(hash)
        this.#violate('R11', `${process.name} leaves an observation unanswered`)
      }
    }
  }

  /** How many commands have come to a process at this moment, with those of before that it still has to answer. */
  #crowd(process: Process): number {
    const { count, atMs } = this.#arrivals.get(process) ?? { count: 0, atMs: process.nowMs }
    const now = { count: atMs === process.nowMs ? count + 1 : 1, atMs: process.nowMs }
    this.#arrivals.set(process, now)
    const pending = [...this.#unanswered.values()].filter(
      (one) => one.process === process && one.atMs < now.atMs,
    )
    return now.count + pending.length
  }

  #quietMs(process: Process, sinceMs: number): number {
    return process.machine.time.nowMs - Math.max(sinceMs, process.wokeAtMs)
  }
}

/** The actions that an answer tells of. */
function actionsOf({ body }: Frame): string[] {
  if (typeof body['action'] === 'string') return [body['action']]
  return ((body['actions'] ?? []) as { action: string }[]).map(({ action }) => action)
}
