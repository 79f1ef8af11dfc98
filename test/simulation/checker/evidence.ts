import type { LookSeen } from '../actors/managers.ts'
import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'

/** An observation as it stands in messages and journals; read by the checker's own eyes. */
export interface Seen {
  readonly state: string
  readonly live: string
  readonly ready?: string | undefined
  readonly heldMs: number
  readonly detail: string
}

/** An observation in a journal, with whose it is. */
export interface Proof {
  readonly observation: Seen
  readonly session: number
  readonly incarnation: string
  readonly boot: string
  readonly answer: number
}

export interface Look extends LookSeen {
  readonly number: number
  readonly endedMs: number
}

/** What a true agent said of an action. */
export interface Word {
  /** `changed`, `failed` … of an ending; `leaving`, `sealed`, `started`, `overdue`, `never-heard`, `forgotten` of a record. */
  readonly is: string
  readonly ledger: string
  readonly atMs: number
}

function isAlike({ sighting: one }: Look, { sighting: other }: Look): boolean {
  return one.state === other.state && one.live === other.live
}

/** How long what a message holds is remembered; longer than any play lasts. */
export class Evidence {
  /** Commands by their hash. */
  readonly commands = new Map<string, Frame>()
  readonly #looks: Look[] = []
  readonly #looksOf = new Map<string, Look[]>()
  readonly #beacons = new Map<string, { readonly process: Process; readonly atMs: number }>()
  readonly #answers = new Map<string, { readonly process: Process; readonly atMs: number }>()
  readonly #words = new Map<string, Word[]>()

  noteLook(look: LookSeen): number {
    const noted = { ...look, number: this.#looks.length, endedMs: look.process.nowMs }
    this.#looks.push(noted)
    const before = this.#looksOf.get(look.instance)
    if (before === undefined) this.#looksOf.set(look.instance, [noted])
    else before.push(noted)
    return noted.number
  }

  noteFrame(frame: Frame): void {
    if (frame.from === undefined) return
    if (frame.isAnswer) this.#noteAnswer(frame, frame.from)
    else this.commands.set(frame.hash, frame)
  }

  /** The process that issued a beacon, and when. */
  beacon(beacon: string): { readonly process: Process; readonly atMs: number } | undefined {
    return this.#beacons.get(beacon)
  }

  /** The process that gave an answer, and when. */
  answer({ incarnation, answer }: Pick<Proof, 'incarnation' | 'answer'>) {
    return this.#answers.get(`${incarnation}/${answer}`)
  }

  words(action: string): readonly Word[] {
    return this.#words.get(action) ?? []
  }

  /** The look that an observation comes from. */
  lookBehind({ detail }: Seen): Look | undefined {
    const number = /.*\[look (\d+)\]/.exec(detail)?.[1]
    return number === undefined ? undefined : this.#looks[Number(number)]
  }

  /** For how long looks of one process may have seen the same when a look began. */
  watchedMs(look: Look): number {
    const all = this.#looksOf.get(look.instance)!.filter(({ process }) => process === look.process)
    const others = all.filter((one) => !isAlike(one, look))
    // Looks that overlap say nothing of which of them saw first.
    const isBetween = (other: Look, first: Look): boolean =>
      other.beganMs > first.endedMs && other.endedMs < look.beganMs
    const since = all
      .filter((one) => isAlike(one, look) && !others.some((other) => isBetween(other, one)))
      .map(({ beganMs }) => beganMs)
    return look.beganMs - Math.min(look.beganMs, ...since)
  }

  #noteAnswer({ type, body, sentAtMs: atMs }: Frame, process: Process): void {
    this.#beacons.set(body['beacon'] as string, { process, atMs })
    this.#answers.set(`${String(body['incarnation'])}/${String(body['answer'])}`, { process, atMs })
    const ledger = body['ledger'] as string
    const say = (action: string, is: string): void => {
      const word = { is, ledger, atMs }
      const before = this.#words.get(action)
      if (before === undefined) this.#words.set(action, [word])
      else before.push(word)
    }
    if (type === 'result') {
      say(body['action'] as string, (body['ending'] as { outcome: string }).outcome)
    } else if (type === 'progress') {
      say(body['action'] as string, 'started')
      if (body['phase'] === 'leaving') say(body['action'] as string, 'leaving')
    } else if (type === 'refusal') {
      if (body['action'] !== undefined)
        say(body['action'] as string, body['sealed'] === true ? 'sealed' : 'refused')
    } else {
      const records = body['actions'] as { action: string; status: string; ending?: { outcome: string } }[]
      for (const { action, status, ending } of records) {
        say(action, status)
        if (ending !== undefined) say(action, ending.outcome)
      }
    }
  }
}

/** What an observation says of a goal: the meaning of DESIGN's words, written down a second time. */
export function isProofOf(goal: 'running' | 'stopped', seen: Seen, settleMs: number): boolean {
  if (seen.heldMs < settleMs) return false
  if (goal === 'running') return seen.state === 'running' && seen.ready !== 'no'
  return seen.live === 'no' && (seen.state === 'stopped' || seen.state === 'failed')
}

/** Whether it says the opposite: not "not yet" and not "nobody knows". */
export function isContradictionOf(goal: 'running' | 'stopped', seen: Seen): boolean {
  if (seen.state === 'unknown' || seen.state === 'missing') return false
  if (seen.state === 'starting' || seen.state === 'stopping') return true
  if (goal === 'running') return seen.state !== 'running'
  return seen.live === 'yes'
}
