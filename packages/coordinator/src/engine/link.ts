import {
  claimedReply,
  NobodyThere,
  redactAnswer,
  seal,
  unsealAnswer,
  type Answer,
  type AuditEvent,
  type AuditLog,
  type Clock,
  type Command,
  type CommandType,
  type Mailbox,
  type Redactor,
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
  /** The key in use, and while it replaces another one that too: agents go by the one that they know. */
  readonly keys: readonly SigningKey[]
  /** Its commands tell how this ends, and it keeps how the agents' end; null for who only looks, and keeps none. */
  readonly audit: AuditLog | null
  /** For what agents say that they were told, and do not know as secret themselves. */
  readonly redactor: Redactor
  /** The key of each host's agent, where one has been accepted. */
  readonly hosts: ReadonlyMap<string, VerifyingKey>
}

/**
 * Why nothing was heard that counts: no agent has the host's mailbox; one has, and says nothing; what answers signs with
 * another key than the host's; or nobody has accepted a key of the host, so that nothing it says would count.
 */
export type SilenceCause = 'nobody-there' | 'no-answer' | 'other-key' | 'no-key'

/** What came of a question. `askedAtMs` by the clock, when the question left. */
export type Heard =
  | { readonly kind: 'report'; readonly report: Report; readonly askedAtMs: number }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly askedAtMs: number }
  | Silence

interface Silence {
  readonly kind: 'silent'
  readonly cause: SilenceCause
  readonly reason: string
  readonly askedAtMs: number
}

/** What came of asking for entries of an agent's chain. */
export type Recalled =
  | { readonly kind: 'entries'; readonly entries: readonly AuditEvent[] }
  | { readonly kind: 'silent'; readonly reason: string }

/** The one answer to a question. */
type Reply = { readonly kind: 'answer'; readonly answer: Answer; readonly askedAtMs: number } | Silence

/** What comes of an action over time: signs of life, and at last a result or a refusal. */
export type ActAnswer = Exclude<Answer, { type: 'report' | 'excerpt' }>

type Addressed = 'fleet' | 'host' | 'coordinator' | 'operator' | 'nonce' | 'head'
/** A command's own content: the link says from whom and to whom. */
export type Content<Type extends CommandType> = Unaddressed<Extract<Command, { type: Type }>['body']>
/** Of each form that a command may have. */
type Unaddressed<Body> = Body extends unknown ? Omit<Body, Addressed> : never
type Question = Exclude<CommandType, 'act'>
/** Those that a report answers. */
type Reported = Exclude<Question, 'recall'>

/** Why an answer was dropped. */
export type AnswerRejection = Unsealable | 'other-host' | 'other-coordinator' | 'unasked'

interface Expectation {
  readonly host: string
  readonly take: (answer: Answer) => void
  /** Questions have one answer; actions are heard of until the link closes. */
  readonly isOnce: boolean
  /** Something that another key signed says that it answers this. */
  isForged: boolean
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
  /** What to do with each question that is open when nobody waits any more. */
  readonly #closing = new Set<() => void>()
  #isClosed = false
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
    this.#isClosed = true
    for (const close of this.#closing) close()
    await this.#mailbox?.[Symbol.asyncDispose]()
  }

  /** Asks a host and waits for its answer, `timeoutMs` at most. */
  async ask<Type extends Reported>(
    host: string,
    type: Type,
    content: Content<Type>,
    timeoutMs: number,
  ): Promise<Heard> {
    const reply = await this.#ask(host, type, content, timeoutMs, ['report', 'refusal'])
    if (reply.kind === 'silent') return reply
    const { answer, askedAtMs } = reply
    return answer.type === 'report'
      ? { kind: 'report', report: answer.body, askedAtMs }
      : { kind: 'refusal', refusal: answer.body as Refusal, askedAtMs }
  }

  /** Asks a host for entries of its agent's audit chain and waits for its answer, `timeoutMs` at most. */
  async recall(host: string, content: Content<'recall'>, timeoutMs: number): Promise<Recalled> {
    const reply = await this.#ask(host, 'recall', content, timeoutMs, ['excerpt', 'refusal'])
    if (reply.kind === 'silent') return reply
    const { answer } = reply
    if (answer.type === 'excerpt') return { kind: 'entries', entries: answer.body.entries }
    return { kind: 'silent', reason: (answer.body as Refusal).detail }
  }

  async #ask<Type extends Question>(
    host: string,
    type: Type,
    content: Content<Type>,
    timeoutMs: number,
    expected: readonly Answer['type'][],
  ): Promise<Reply> {
    const askedAtMs = this.#clock.sinceBoot()
    if (!this.identity.hosts.has(host)) {
      const reason = `no key of ${host} has been accepted here: filo enroll ${host}`
      return { kind: 'silent', cause: 'no-key', reason, askedAtMs }
    }
    const { bytes, hash } = this.#seal(host, type, content)
    const answered = Promise.withResolvers<Reply>()
    const waiting = new AbortController()
    this.#expected.set(hash, {
      host,
      isOnce: true,
      isForged: false,
      take: (answer) => {
        if (expected.includes(answer.type)) answered.resolve({ kind: 'answer', answer, askedAtMs })
      },
    })
    const silent = (cause: SilenceCause, reason: string): void =>
      answered.resolve({ kind: 'silent', cause, reason, askedAtMs })
    const close = (): void => silent('no-answer', 'the line to it was closed')
    if (this.#isClosed) close()
    this.#closing.add(close)
    this.#clock.sleep(timeoutMs, waiting.signal).then(
      () => {
        if (this.#expected.get(hash)?.isForged) {
          silent('other-key', `what answers for ${host} signs with another key than is known here as its own`)
        } else silent('no-answer', `no answer from ${host} within ${Math.round(timeoutMs / 1000)} s`)
      },
      () => {},
    )
    this.#transport.send({ agent: host }, bytes).catch((error: unknown) => {
      // A message that may have been delivered is waited for all the same.
      if (error instanceof NobodyThere) silent('nobody-there', `no agent listens for ${host}`)
    })
    try {
      return await answered.promise
    } finally {
      waiting.abort('it has come')
      this.#closing.delete(close)
      this.#expected.delete(hash)
    }
  }

  /** Says something to a host of which no answer is awaited. Throws NobodyThere, Ambiguous, BrokerUnavailable. */
  async tell<Type extends Question>(host: string, type: Type, content: Content<Type>): Promise<void> {
    await this.#transport.send({ agent: host }, this.#seal(host, type, content).bytes)
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
      isForged: false,
      take: (answer) => {
        if (answer.type !== 'report' && answer.type !== 'excerpt') onAnswer(answer)
      },
    })
    await this.#transport.send({ agent: host }, bytes)
  }

  #seal<Type extends CommandType>(host: string, type: Type, content: Content<Type>) {
    const { fleet, coordinator, operator, keys, audit } = this.identity
    const head = audit && { source: audit.source, ...audit.head() }
    const body = { ...content, fleet, host, coordinator, operator, nonce: this.#newId(), head }
    return seal({ type, body } as unknown as Command, ...keys)
  }

  #receive(bytes: Uint8Array): void {
    const opened = unsealAnswer(bytes, (keyId) => this.#hostByKey.get(keyId)?.key)
    if (opened.kind === 'rejected') {
      if (opened.why === 'unknown-key' || opened.why === 'bad-signature') this.#doubt(claimedReply(bytes))
      return this.#reject(opened.why)
    }
    const { message: answer, key } = opened
    const { body } = answer
    if (this.#hostByKey.get(key.id)?.host !== body.host || body.fleet !== this.identity.fleet) {
      this.#doubt(body.inReplyTo)
      return this.#reject('other-host')
    }
    if (body.coordinator !== this.identity.coordinator) return this.#reject('other-coordinator')
    const expectation = this.#expected.get(body.inReplyTo)
    if (expectation === undefined || expectation.host !== body.host) return this.#reject('unasked')
    this.identity.audit?.hear({ source: `/agents/${body.host}`, ...body.head })
    if (expectation.isOnce) this.#expected.delete(body.inReplyTo)
    expectation.take(redactAnswer(answer, this.identity.redactor))
  }

  /** Goes on waiting for the host itself: only the words for its silence will be others. */
  #doubt(inReplyTo: string | undefined): void {
    const expectation = inReplyTo === undefined ? undefined : this.#expected.get(inReplyTo)
    if (expectation !== undefined) expectation.isForged = true
  }

  #reject(why: AnswerRejection): void {
    this.rejected.set(why, (this.rejected.get(why) ?? 0) + 1)
  }
}
