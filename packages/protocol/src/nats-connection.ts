import type { Duplex } from 'node:stream'
import {
  connect,
  createInbox,
  PermissionViolationError,
  type NatsConnection,
  type Status,
} from '@nats-io/transport-node'
import { Ambiguous, BrokerUnavailable, NobodyThere } from './errors.ts'
import { inboxPrefix } from './nats-topology.ts'
import { explainNats, type NatsServers } from './nats-url.ts'
import { natsTls, tlsRefusal } from './nats-tls.ts'
import type { Tls } from './tls-renewal.ts'
import type { TransportStatus } from './transport.ts'
import { briefly, within } from './waiting.ts'

const connectTimeoutMs = 5000
/** Sent at most this long after the loss of a connection, and at least half of it: a fleet does not come back in one instant. */
const reconnectWaitMs = 500

export interface NatsSettings {
  readonly servers: NatsServers
  /** Shown in the server's list of connections. */
  readonly name: string
  readonly heartbeatSeconds: number
  readonly confirmTimeoutMs: number
  readonly tls?: Tls | undefined
}

/** A message that was written and not confirmed yet. */
interface Unconfirmed {
  /** The server has said that nobody listens. */
  returned: boolean
}

/**
 * The one connection of a process. The library replaces it whenever it is lost, and subscribes again; what was
 * written and not confirmed then is ambiguous, and nothing is written while there is none.
 */
export class NatsLink implements AsyncDisposable {
  readonly connection: NatsConnection
  readonly #settings: NatsSettings
  readonly #report: (status: TransportStatus) => void
  readonly #replies: string
  readonly #unconfirmed = new Map<string, Unconfirmed>()
  readonly #publishing = new Set<Promise<void>>()
  readonly #onBack = new Set<() => void>()
  readonly #refused = new Map<string, string>()
  #back = Promise.withResolvers<void>()
  #loss = Promise.withResolvers<void>()
  #isUp = true
  /** It was ended for its successor: nobody has to hear of it where that goes well. */
  #isReplaced = false
  #closed = false
  #lastId = 0
  #flushing: Promise<void> | undefined
  #lastReason = ''

  private constructor(
    connection: NatsConnection,
    settings: NatsSettings,
    report: (status: TransportStatus) => void,
  ) {
    this.connection = connection
    this.#settings = settings
    this.#report = report
    this.#replies = createInbox(this.inboxPrefix)
    this.#back.resolve()
    // Of a message that asks for a reply the server says at once when nobody listens; nobody else replies here.
    connection.subscribe(`${this.#replies}.*`, {
      callback: (_, message) => {
        const unconfirmed = this.#unconfirmed.get(message.subject.slice(this.#replies.length + 1))
        if (unconfirmed !== undefined && message.headers?.code === 503) unconfirmed.returned = true
      },
    })
    void this.#watch()
  }

  /** Throws BrokerUnavailable when no server of the list can be had now. */
  static async open(settings: NatsSettings, report: (status: TransportStatus) => void): Promise<NatsLink> {
    const { servers, name, heartbeatSeconds, tls } = settings
    try {
      const connection = await connect({
        ...servers.connect,
        ...(servers.connect.tls && { tls: natsTls(servers, tls) }),
        name,
        inboxPrefix: inboxPrefix(name),
        timeout: connectTimeoutMs,
        // In an order thrown by dice, so that a fleet is not all on one server of a cluster. And without end: a wrong
        // password may be mended while this runs.
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: reconnectWaitMs / 2,
        reconnectJitter: reconnectWaitMs / 2,
        reconnectJitterTLS: reconnectWaitMs / 2,
        pingInterval: heartbeatSeconds * 1000,
        maxPingOut: 2,
      })
      return new NatsLink(connection, settings, report)
    } catch (error) {
      const words = explainNats(error)
      // A server that speaks no TLS at all has said so itself.
      const mayRefuse = servers.connect.tls !== undefined && !words.includes('does not speak TLS')
      const refusal = mayRefuse ? await tlsRefusal(servers, tls) : undefined
      throw new BrokerUnavailable(`${servers.shown}: ${refusal ? explainNats(refusal) : words}`)
    }
  }

  /** Where this connection is answered. */
  get inboxPrefix(): string {
    return inboxPrefix(this.#settings.name)
  }

  /** Called each time that the connection is there again. Returns how to leave that off. */
  onBack(listener: () => void): () => void {
    this.#onBack.add(listener)
    return () => this.#onBack.delete(listener)
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** What the connection goes by, while there is one. */
  get stream(): Duplex | undefined {
    const { protocol } = this.connection as unknown as { protocol: { transport: { socket?: Duplex } } }
    return protocol.transport.socket
  }

  /** Replaces the connection, when what is in flight on it has been confirmed; what is new waits for the next. */
  async renew(): Promise<void> {
    if (!this.#isUp || this.#closed) return
    const inFlight = [...this.#publishing]
    this.#isUp = false
    this.#isReplaced = true
    this.#back = Promise.withResolvers()
    const back = this.#back.promise
    await briefly(Promise.allSettled(inFlight), this.#settings.confirmTimeoutMs)
    this.#loss.resolve()
    await this.connection.reconnect().catch(() => {}) // it was closed meanwhile
    await briefly(back, connectTimeoutMs)
    if (this.#isUp || this.#closed) return
    this.#isReplaced = false
    this.#report({ kind: 'disconnected', reason: this.#lastReason })
  }

  /** Throws BrokerUnavailable where there is no connection within the confirm timeout, or none any more. */
  async untilUp(): Promise<void> {
    this.refuseIfClosed()
    if (this.#isUp) return
    await within(this.#settings.confirmTimeoutMs, this.#back.promise, () => {
      const reason = this.#lastReason
      return new BrokerUnavailable(
        `no connection to the broker for ${this.#settings.confirmTimeoutMs} ms: ${reason}`,
      )
    })
    this.refuseIfClosed()
  }

  /** Resolves when the connection of this moment is lost: what was asked over it is not answered any more. */
  get lost(): Promise<void> {
    return this.#loss.promise
  }

  refuseIfClosed(): void {
    if (this.#closed) throw new BrokerUnavailable('this transport is closed')
  }

  /**
   * Resolves when the server has it and somebody listens; `what` finishes the sentence "no confirm for …". Throws
   * NobodyThere, Ambiguous, BrokerUnavailable.
   */
  send(subject: string, message: Uint8Array, what: string): Promise<void> {
    return this.track(this.#send(subject, message, what))
  }

  /** Lets the end of the link wait for something that is in flight. */
  track(publishing: Promise<void>): Promise<void> {
    const tracked = publishing.finally(() => this.#publishing.delete(tracked))
    this.#publishing.add(tracked)
    return tracked
  }

  /**
   * Resolves when the server has taken all that was written before: it answers a PING in its turn. Rejects when the
   * connection is lost meanwhile; waits for as long as a server that is frozen is not noticed.
   */
  flush(): Promise<void> {
    // All that is written within one turn of the event loop shares one PING.
    this.#flushing ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#flushing = undefined
        this.connection.flush().then(resolve, reject)
      })
    })
    return this.#flushing
  }

  /** Waits for what is in flight; what could not be written yet is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#back.resolve()
    await Promise.allSettled(this.#publishing)
    const closed = this.connection.close()
    await briefly(closed)
  }

  async #send(subject: string, message: Uint8Array, what: string): Promise<void> {
    // A copy, as `send` of the transport promises: the library writes later.
    const copy = Uint8Array.from(message)
    await this.untilUp()
    const id = String(++this.#lastId)
    const unconfirmed: Unconfirmed = { returned: false }
    this.#unconfirmed.set(id, unconfirmed)
    try {
      this.connection.publish(subject, copy, { reply: `${this.#replies}.${id}` })
      await this.#confirmed(what)
    } finally {
      this.#unconfirmed.delete(id)
    }
    const refused = this.#refused.get(subject)
    if (refused !== undefined) throw new BrokerUnavailable(`the broker refuses ${what}: ${refused}`)
    if (unconfirmed.returned) throw new NobodyThere(`nobody takes ${what}`)
  }

  async #confirmed(what: string): Promise<void> {
    const late = (): Error => new Ambiguous(`no confirm for ${what} from the broker in time`)
    try {
      await within(this.#settings.confirmTimeoutMs, this.flush(), late)
    } catch (error) {
      if (error instanceof Ambiguous) throw error
      throw new Ambiguous(`no confirm for ${what}: the connection was lost`)
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.connection.status()) this.#note(status)
  }

  #note(status: Status): void {
    if (status.type === 'disconnect' && this.#isUp) {
      this.#isUp = false
      this.#loss.resolve()
      this.#back = Promise.withResolvers()
      this.#lastReason = `the connection to ${status.server} was lost`
      if (!this.#closed) this.#report({ kind: 'disconnected', reason: this.#lastReason })
    }
    if (status.type === 'reconnect' && !this.#isUp) {
      this.#isUp = true
      this.#loss = Promise.withResolvers()
      // A right may have been given meanwhile.
      this.#refused.clear()
      this.#back.resolve()
      if (!this.#isReplaced) this.#report({ kind: 'connected' })
      this.#isReplaced = false
      for (const listener of this.#onBack) listener()
    }
    if (status.type === 'error') this.#noteError(status.error)
  }

  #noteError(error: Error): void {
    this.#lastReason = explainNats(error)
    if (error instanceof PermissionViolationError && error.operation === 'publish') {
      this.#refused.set(error.subject, error.message)
    }
  }
}
