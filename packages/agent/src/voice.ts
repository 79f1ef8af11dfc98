import { randomUUID } from 'node:crypto'
import {
  cut,
  limits,
  noHead,
  redactAnswer,
  NobodyThere,
  publicKeyOf,
  seal,
  spellKey,
  type Act,
  type Answer,
  type AuditEvent,
  type Beacon,
  type Clock,
  type CommandType,
  type Ending,
  type Freeze,
  type Holder,
  type Progress,
  type Redactor,
  type Refusal,
  type Report,
  type Sha256,
  type SigningKey,
  type Transport,
} from '@filo/protocol'
import type { Logger } from 'pino'
import type { Ledger } from './ledger.ts'

/** What an answer goes back to. */
export interface Origin {
  readonly coordinator: string
  readonly inReplyTo: Sha256
  /** Whether the same command was answered before. */
  readonly isRepeat: boolean
}

/** A command that has just come in. */
export interface Question extends Origin {
  /** The key that signed it, among those that this agent obeys. */
  readonly takenBy: Sha256
}

/** Who speaks. */
export interface Speaker {
  readonly fleet: string
  readonly host: string
  readonly ledger: Ledger | null
  readonly beacon: () => Beacon
  readonly holder: () => Holder | null
  readonly freeze: () => Freeze | null
  readonly lack: () => string | null
}

type Labels = Pick<Act, 'run' | 'step' | 'action'>

/** An agent's answers: each says from which life of which host it comes, is signed, and is sent once. */
export class Voice {
  readonly #world: {
    readonly transport: Transport
    readonly clock: Clock
    readonly boot: string
    readonly log: Logger
    readonly redactor: Redactor
  }
  readonly #key: SigningKey
  readonly #publicKey: string
  readonly #speaker: Speaker
  readonly #incarnation = randomUUID()
  readonly #sending = new Set<Promise<void>>()
  #answers = 0

  constructor(
    world: {
      readonly transport: Transport
      readonly clock: Clock
      readonly boot: string
      readonly log: Logger
      readonly redactor: Redactor
    },
    key: SigningKey,
    speaker: Speaker,
  ) {
    this.#world = world
    this.#key = key
    this.#publicKey = spellKey(publicKeyOf(key))
    this.#speaker = speaker
  }

  report(origin: Question, told: Partial<Pick<Report, 'observations' | 'actions' | 'definitions'>>): void {
    const body: Report = {
      ...this.#common(origin),
      publicKey: this.#publicKey,
      takenBy: origin.takenBy,
      holder: this.#speaker.holder(),
      freeze: this.#speaker.freeze(),
      lack: this.#speaker.lack(),
      observations: [],
      actions: [],
      definitions: {},
      ...told,
    }
    this.#say({ type: 'report', body })
  }

  progress(origin: Origin, labels: Labels, phase: Progress['phase'], lines: readonly string[]): void {
    this.#say({ type: 'progress', body: { ...this.#common(origin), ...labels, phase, lines: [...lines] } })
  }

  /** @param isRepeated whether it is told from the ledger, rather than as it happens. */
  result(origin: Origin, labels: Labels, ending: Ending, isRepeated: boolean): void {
    this.#say({ type: 'result', body: { ...this.#common(origin), ...labels, ending, isRepeated } })
  }

  excerpt(origin: Origin, entries: readonly AuditEvent[]): void {
    this.#say({ type: 'excerpt', body: { ...this.#common(origin), entries: [...entries] } })
  }

  refuse(
    origin: Origin,
    refused: CommandType,
    reason: Refusal['reason'],
    detail: string,
    about: { readonly action?: string; readonly sealed: boolean } = { sealed: false },
  ): void {
    // Every coordinator's first claim of a host is refused, so that it learns a beacon; and whoever floods the mailbox
    // with copies must not fill the disk with our words about them.
    const isUsual = origin.isRepeat || (refused === 'claim' && reason === 'beacon')
    this.#world.log[isUsual ? 'debug' : 'warn']({ refused, reason, detail, ...about }, 'refused')
    const holder = this.#speaker.holder()
    const body = { ...this.#common(origin), refused, reason, detail: cut(detail), ...about, holder }
    this.#say({ type: 'refusal', body })
  }

  /** Resolves when what was said is on its way, or known not to be. */
  async drain(): Promise<void> {
    await Promise.all(this.#sending)
  }

  #common({ coordinator, inReplyTo }: Origin) {
    const { fleet, host, ledger, beacon } = this.#speaker
    return {
      fleet,
      host,
      coordinator,
      inReplyTo,
      incarnation: this.#incarnation,
      boot: this.#world.boot,
      ledger: ledger?.id ?? null,
      answer: ++this.#answers,
      beacon: beacon(),
      clock: this.#world.clock.wall().toISOString(),
      head: ledger?.audit.head() ?? noHead,
    }
  }

  /** One that is lost is asked for again: the ledger has it. */
  #say(answer: Answer): void {
    const { bytes } = seal(fitted(redactAnswer(answer, this.#world.redactor)), this.#key)
    const sending = this.#world.transport
      .send({ coordinator: answer.body.coordinator }, bytes)
      .catch((error: unknown) => {
        const level = error instanceof NobodyThere ? 'debug' : 'warn'
        this.#world.log[level]({ err: error, answer: answer.type }, 'an answer was not delivered')
      })
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }
}

/**
 * The answer within `limits.messageBytes`: where sixty services each have much to say, what is beside their state
 * is left out. JSON in base64 in JSON takes a third more.
 */
function fitted(answer: Answer): Answer {
  if (answer.type !== 'report') return answer
  const isTooLarge = Buffer.byteLength(JSON.stringify(answer.body)) > (limits.messageBytes - 1024) * 0.75
  if (!isTooLarge) return answer
  const observations = answer.body.observations.map((sighted) => {
    const { processes: _processes, warnings: _warnings, ...rest } = sighted.observation
    return { ...sighted, observation: { ...rest, detail: cut(rest.detail, 120) } }
  })
  return { ...answer, body: { ...answer.body, observations } }
}
