import {
  NobodyThere,
  seal,
  unsealAnswer,
  type Answer,
  type Clock,
  type Command,
  type CommandType,
  type Mailbox,
  type Report,
  type Refusal,
  type Sha256,
  type SigningKey,
  type Transport,
  type Unsealable,
  type VerifyingKey,
} from '@filo/protocol'

// An answer counts only if that host's own key signed it, it is addressed to this process, and it quotes a command
// that this process sent to that host. Everything else is counted and dropped.

/** Who speaks to the agents, and whom it believes. */
export interface LinkIdentity {
  readonly fleet: string
  /** The id of this coordinator process. */
  readonly coordinator: string
  readonly operator: string
  readonly key: SigningKey
  /** The key of each host's agent. */
  readonly hosts: ReadonlyMap<string, VerifyingKey>
}

/** What came of a question. `askedAtMs` by the clock, when the question left. */
export type Heard =
  | { readonly kind: 'report'; readonly report: Report; readonly askedAtMs: number }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly askedAtMs: number }
  | { readonly kind: 'silent'; readonly reason: string; readonly askedAtMs: number }

/** What comes of an action over time: signs of life, and at last a result or a refusal. */
export type ActAnswer = Exclude<Answer, { type: 'report' }>

type Addressed = 'fleet' | 'host' | 'coordinator' | 'operator' | 'nonce'
/** A command's own content: the link says from whom and to whom. */
export type Content<Type extends CommandType> = Omit<Extract<Command, { type: Type }>['body'], Addressed>
type Question = Exclude<CommandType, 'act'>

/** Why an answer was dropped. */
export type AnswerRejection = Unsealable | 'other-host' | 'other-coordinator' | 'unasked'

interface Expectation {
  readonly host: string
  readonly take: (answer: Answer) => void
  /** Questions have one answer; actions are heard of until the link closes. */
  readonly isOnce: boolean
}

/** A coordinator process's line to the agents: asks, and knows an answer by the command that it quotes. */
export class Link implements AsyncDisposable {
  readonly identity: LinkIdentity
  /** How often an answer was dropped, by why. */
  readonly rejected = new Map<AnswerRejection, number>()
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #newId: () => string
  readonly #expected = new Map<Sha256, Expectation>()
  readonly #hostByKey = new Map<string, { readonly host: string; readonly key: VerifyingKey }>()
  readonly #closing = new AbortController()
  #mailbox: Mailbox | undefined

  private constructor(transport: Transport, identity: LinkIdentity, clock: Clock, newId: () => string) {
    this.#transport = transport
    this.identity = identity
    this.#clock = clock
    this.#newId = newId
    for (const [host, key] of identity.hosts) this.#hostByKey.set(key.id, { host, key })
  }

  static async open(
    transport: Transport,
    identity: LinkIdentity,
    clock: Clock,
    newId: () => string,
  ): Promise<Link> {
    const link = new Link(transport, identity, clock, newId)
    link.#mailbox = await transport.open({ coordinator: identity.coordinator }, (bytes) =>
      link.#receive(bytes),
    )
    return link
  }

  /** Nobody waits for an answer any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#mailbox?.[Symbol.asyncDispose]()
  }

  /** Asks a host and waits for its answer, `timeoutMs` at most. */
  async ask<Type extends Question>(
    host: string,
    type: Type,
    content: Content<Type>,
    timeoutMs: number,
  ): Promise<Heard> {
    const askedAtMs = this.#clock.sinceBoot()
    const { bytes, hash } = this.#seal(host, type, content)
    const answered = Promise.withResolvers<Heard>()
    const waiting = new AbortController()
    this.#expected.set(hash, {
      host,
      isOnce: true,
      take: (answer) => {
        if (answer.type === 'report') answered.resolve({ kind: 'report', report: answer.body, askedAtMs })
        else if (answer.type === 'refusal')
          answered.resolve({ kind: 'refusal', refusal: answer.body, askedAtMs })
      },
    })
    const silent = (reason: string): void => answered.resolve({ kind: 'silent', reason, askedAtMs })
    this.#clock.sleep(timeoutMs, AbortSignal.any([waiting.signal, this.#closing.signal])).then(
      () => silent(`no answer from ${host} within ${Math.round(timeoutMs / 1000)} s`),
      () => silent('the line to it was closed'),
    )
    this.#transport.send({ agent: host }, bytes).catch((error: unknown) => {
      // A message that may have been delivered is waited for all the same.
      if (error instanceof NobodyThere) silent(`no agent listens for ${host}`)
    })
    try {
      return await answered.promise
    } finally {
      waiting.abort()
      this.#expected.delete(hash)
    }
  }

  /**
   * Sends an action. All that is ever heard of it goes to `onAnswer`. Throws NobodyThere or Ambiguous: the agent may
   * have it all the same.
   */
  async act(host: string, content: Content<'act'>, onAnswer: (answer: ActAnswer) => void): Promise<void> {
    const { bytes, hash } = this.#seal(host, 'act', content)
    this.#expected.set(hash, {
      host,
      isOnce: false,
      take: (answer) => {
        if (answer.type !== 'report') onAnswer(answer)
      },
    })
    await this.#transport.send({ agent: host }, bytes)
  }

  #seal<Type extends CommandType>(host: string, type: Type, content: Content<Type>) {
    const { fleet, coordinator, operator, key } = this.identity
    const body = { ...content, fleet, host, coordinator, operator, nonce: this.#newId() }
    return seal({ type, body } as unknown as Command, key)
  }

  #receive(bytes: Uint8Array): void {
    const opened = unsealAnswer(bytes, (keyId) => this.#hostByKey.get(keyId)?.key)
    if (opened.kind === 'rejected') return this.#reject(opened.why)
    const { message: answer, key } = opened
    const { body } = answer
    if (this.#hostByKey.get(key.id)?.host !== body.host || body.fleet !== this.identity.fleet) {
      return this.#reject('other-host')
    }
    if (body.coordinator !== this.identity.coordinator) return this.#reject('other-coordinator')
    const expectation = this.#expected.get(body.inReplyTo)
    if (expectation === undefined || expectation.host !== body.host) return this.#reject('unasked')
    if (expectation.isOnce) this.#expected.delete(body.inReplyTo)
    expectation.take(answer)
  }

  #reject(why: AnswerRejection): void {
    this.rejected.set(why, (this.rejected.get(why) ?? 0) + 1)
  }
}
