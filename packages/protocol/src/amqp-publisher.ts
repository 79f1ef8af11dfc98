import type { Duplex } from 'node:stream'
import { IllegalOperationError, type ConfirmChannel, type Options } from 'amqplib'
import {
  failWith,
  LastingConnection,
  streamOf,
  type ConnectionSettings,
  type Link,
} from './amqp-connection.ts'
import { declareExchanges } from './amqp-topology.ts'
import { Ambiguous, BrokerUnavailable, NobodyThere } from './errors.ts'
import type { TransportStatus } from './transport.ts'

/** A message for the broker. */
export interface Outgoing {
  /** For a person: finishes the sentence "no confirm for …". */
  readonly what: string
  readonly exchange: string
  readonly routingKey: string
  readonly body: Uint8Array
  readonly options: Options.Publish
}

/** A message that was written and not confirmed yet. */
interface Unconfirmed {
  returned: boolean
}

/** What publishing needs of one connection. */
type PublishingSession = { readonly channel: ConfirmChannel } & Pick<Link, 'gather'>

/** The connection that publishes: one channel in confirm mode, with any number of messages in flight. */
export class AmqpPublisher implements AsyncDisposable {
  readonly #connection: LastingConnection<PublishingSession>
  readonly #confirmTimeoutMs: number
  readonly #unconfirmed: Map<string, Unconfirmed>
  readonly #publishing = new Set<Promise<void>>()
  #lastId = 0
  #closed = false

  private constructor(
    connection: LastingConnection<PublishingSession>,
    unconfirmed: Map<string, Unconfirmed>,
    confirmTimeoutMs: number,
  ) {
    this.#connection = connection
    this.#unconfirmed = unconfirmed
    this.#confirmTimeoutMs = confirmTimeoutMs
  }

  static async open(
    settings: ConnectionSettings,
    confirmTimeoutMs: number,
    report: (status: TransportStatus) => void,
  ): Promise<AmqpPublisher> {
    const unconfirmed = new Map<string, Unconfirmed>()
    const setUp = async (link: Link): Promise<PublishingSession> => {
      const channel = await link.model.createConfirmChannel()
      failWith(link, channel)
      link.settle = () => channel.waitForConfirms()
      // A message that is returned is confirmed too, afterwards.
      channel.on('return', ({ properties }) => {
        const message = unconfirmed.get(String(properties.messageId))
        if (message !== undefined) message.returned = true
      })
      await declareExchanges(link.model)
      return { channel, gather: link.gather }
    }
    const connection = await LastingConnection.open(settings, setUp, report)
    return new AmqpPublisher(connection, unconfirmed, confirmTimeoutMs)
  }

  /** Product and version of the broker, while there is a connection. */
  peer(): string | undefined {
    const properties = this.#connection.current?.channel.connection.serverProperties
    return properties && `${properties.product} ${properties.version}`
  }

  /** What the connection goes by, while there is one. */
  get stream(): Duplex | undefined {
    const session = this.#connection.current
    return session && streamOf(session.channel)
  }

  /** Resolves when the broker has confirmed. Throws NobodyThere, Ambiguous, BrokerUnavailable. */
  publish(message: Outgoing): Promise<void> {
    if (this.#closed) return Promise.reject(new BrokerUnavailable('this transport is closed'))
    const publishing = this.#publish(message).finally(() => this.#publishing.delete(publishing))
    this.#publishing.add(publishing)
    return publishing
  }

  /** Waits for what is in flight; what could not be written yet is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#connection.stopReconnecting()
    await Promise.allSettled(this.#publishing)
    await this.#connection[Symbol.asyncDispose]()
  }

  async #publish(message: Outgoing): Promise<void> {
    const deadline = performance.now() + this.#confirmTimeoutMs
    const session = this.#connection.current ?? (await this.#connection.session(this.#confirmTimeoutMs))
    await this.#confirm(session, message, deadline - performance.now())
  }

  #confirm({ channel, gather }: PublishingSession, message: Outgoing, timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const messageId = String(++this.#lastId)
    const unconfirmed: Unconfirmed = { returned: false }
    this.#unconfirmed.set(messageId, unconfirmed)
    const timer = setTimeout(() => {
      reject(new Ambiguous(`no confirm for ${message.what} from the broker in time`))
    }, timeoutMs)
    const onConfirm = (error: Error | null): void => {
      if (error !== null) reject(new Ambiguous(`no confirm for ${message.what}: ${error.message}`))
      else if (unconfirmed.returned) reject(new NobodyThere(`nobody takes ${message.what}`))
      else resolve()
    }
    try {
      const options = { ...message.options, messageId }
      gather()
      channel.publish(message.exchange, message.routingKey, asBuffer(message.body), options, onConfirm)
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw error
      reject(new Ambiguous(`no confirm for ${message.what}: the connection was lost`))
    }
    return promise.finally(() => {
      clearTimeout(timer)
      this.#unconfirmed.delete(messageId)
    })
  }
}

/** A copy, as `send` promises: amqplib writes larger bodies later, and the caller may reuse its bytes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes)
}
