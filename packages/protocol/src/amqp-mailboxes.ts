import { setTimeout as delay } from 'node:timers/promises'
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import {
  briefly,
  failWith,
  LastingConnection,
  type ConnectionSettings,
  type Link,
} from './amqp-connection.ts'
import { declareExchanges, exchangeOf, queueOf } from './amqp-topology.ts'
import { explain } from './amqp-url.ts'
import { AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { addressName, type Address, type Mailbox, type TransportStatus } from './transport.ts'

/** Messages that the broker may have given to one mailbox before it has seen an acknowledgement. */
const prefetch = 128

/** Between two attempts at an address that another connection holds. */
const retryMs = 500

/**
 * What came of asking for an address: `ours`; `held` by another connection; `refused` for good; or the
 * connection was `lost` meanwhile.
 */
type ClaimOutcome =
  | { readonly kind: 'ours' | 'lost' }
  | { readonly kind: 'held' | 'refused'; readonly reason: string }

/** The connection that receives: every mailbox of the process shares it, and one channel of it. */
export class AmqpMailboxes implements AsyncDisposable {
  readonly #connection: LastingConnection<ReceivingSession>
  readonly #settings: ConnectionSettings
  readonly #report: (status: TransportStatus) => void
  readonly #open = new Set<AmqpMailbox>()
  #oversized = 0

  private constructor(
    connection: LastingConnection<ReceivingSession>,
    settings: ConnectionSettings,
    report: (status: TransportStatus) => void,
  ) {
    this.#connection = connection
    this.#settings = settings
    this.#report = report
  }

  static async open(
    settings: ConnectionSettings,
    report: (status: TransportStatus) => void,
  ): Promise<AmqpMailboxes> {
    const connection = await LastingConnection.open(settings, ReceivingSession.open, report)
    return new AmqpMailboxes(connection, settings, report)
  }

  /** Messages that were dropped because they were larger than any of ours. */
  get oversized(): number {
    return this.#oversized
  }

  async openMailbox(address: Address, receive: (message: Uint8Array) => void): Promise<Mailbox> {
    // The broker lets the connection that owns a queue declare it again.
    const name = addressName(address)
    for (const mailbox of this.#open) {
      if (addressName(mailbox.address) === name) {
        throw new AddressInUse(`${name} is in use: something in this process already receives there`)
      }
    }
    const mailbox = new AmqpMailbox(address, this.#connection, {
      take: (content) => {
        if (content.length > limits.messageBytes) this.#oversized++
        else receive(content)
      },
      report: this.#report,
      onClosed: () => this.#open.delete(mailbox),
    })
    this.#open.add(mailbox)
    // A broker notices a broken connection after three heartbeats at the latest: until then the address may be
    // held by a ghost of this very process, or of the one that it replaces.
    const patienceMs = 4 * this.#settings.heartbeatSeconds * 1000
    try {
      await mailbox.claim(patienceMs)
    } catch (error) {
      await mailbox[Symbol.asyncDispose]()
      throw error
    }
    return mailbox
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The queues are exclusive: they go with the connection.
    this.#connection.stopReconnecting()
    for (const mailbox of this.#open) mailbox.close()
    await this.#connection[Symbol.asyncDispose]()
  }
}

interface MailboxOwner {
  take(content: Uint8Array): void
  report(status: TransportStatus): void
  onClosed(): void
}

class AmqpMailbox implements Mailbox {
  readonly address: Address
  readonly #connection: LastingConnection<ReceivingSession>
  readonly #owner: MailboxOwner
  readonly #closing = new AbortController()

  constructor(address: Address, connection: LastingConnection<ReceivingSession>, owner: MailboxOwner) {
    this.address = address
    this.#connection = connection
    this.#owner = owner
  }

  /** Takes the address, and from then on keeps it. Throws AddressInUse, BrokerUnavailable. */
  async claim(patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const session = await this.#connection.session(Math.max(0, deadline - performance.now()))
      const outcome = await session.claim(this.address, this.#take)
      if (outcome.kind === 'ours') return void this.#keep(session)
      if (outcome.kind === 'refused') {
        throw new BrokerUnavailable(`the broker refuses the mailbox ${this.#name}: ${outcome.reason}`)
      }
      if (outcome.kind === 'held' && performance.now() + retryMs > deadline) {
        throw new AddressInUse(
          `${this.#name} is in use: another connection has held it for ${patienceMs / 1000} s; ` +
            'is this already running somewhere, here or on another machine?',
        )
      }
      await this.#pause()
    }
  }

  /** Nothing is received any more. */
  close(): void {
    this.#closing.abort()
    this.#owner.onClosed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.close()
    const session = this.#connection.current
    if (session !== undefined) await briefly(session.release(this.address))
  }

  get #name(): string {
    return addressName(this.address)
  }

  /** A connection after the other: waits for its loss, then takes the address on the next. */
  async #keep(first: ReceivingSession): Promise<void> {
    const closed = aborted(this.#closing.signal)
    let session: ReceivingSession | undefined = first
    while (session !== undefined) {
      await Promise.race([session.lost, closed])
      session = await this.#reclaim()
    }
  }

  async #reclaim(): Promise<ReceivingSession | undefined> {
    let told = false
    while (!this.#closing.signal.aborted) {
      const session = await this.#connection.session(retryMs).catch(() => undefined)
      const outcome = await session?.claim(this.address, this.#take)
      if (outcome?.kind === 'ours') {
        if (!this.#closing.signal.aborted) return session
        await session?.release(this.address)
      }
      if ((outcome?.kind === 'held' || outcome?.kind === 'refused') && !told) {
        this.#owner.report({ kind: 'displaced', address: this.address, reason: outcome.reason })
        told = true
      }
      await this.#pause()
    }
    return undefined
  }

  async #pause(): Promise<void> {
    await delay(retryMs, undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  /** In a turn of its own: what throws in a receiver is a bug, and must not end up as an error of the channel. */
  readonly #take = (content: Uint8Array): void => {
    setImmediate(() => {
      if (!this.#closing.signal.aborted) this.#owner.take(content)
    })
  }
}

/** What mailboxes need of one connection. */
class ReceivingSession {
  readonly lost: Promise<string>
  readonly #link: Link
  readonly #consuming: Channel
  /** Queues are declared one after the other: a refusal closes the channel, with all that is asked on it. */
  #turn: Promise<unknown> = Promise.resolve()
  #declaring: Channel | undefined

  private constructor(link: Link, consuming: Channel) {
    this.lost = link.lost
    this.#link = link
    this.#consuming = consuming
  }

  static async open(this: void, link: Link): Promise<ReceivingSession> {
    const consuming = await link.model.createChannel()
    failWith(link, consuming)
    await consuming.prefetch(prefetch)
    await declareExchanges(consuming)
    return new ReceivingSession(link, consuming)
  }

  claim(address: Address, take: (content: Uint8Array) => void): Promise<ClaimOutcome> {
    const claiming = this.#turn.then(() => this.#claim(address, take))
    this.#turn = claiming
    return claiming
  }

  /** Whoever sends there from now on is told that nobody is there. */
  release(address: Address): Promise<void> {
    const releasing = this.#turn.then(() => this.#release(address))
    this.#turn = releasing
    return releasing
  }

  async #claim(address: Address, take: (content: Uint8Array) => void): Promise<ClaimOutcome> {
    const queue = queueOf(address)
    try {
      this.#declaring ??= await openDeclaring(this.#link.model, () => (this.#declaring = undefined))
      await this.#declaring.assertQueue(queue, {
        exclusive: true,
        durable: false,
        arguments: { 'x-max-length-bytes': limits.mailboxQueueBytes, 'x-overflow': 'reject-publish' },
      })
      await this.#declaring.bindQueue(queue, exchangeOf(address), queue)
      await this.#consuming.consume(queue, (message) => this.#onMessage(message, take), {
        consumerTag: queue,
      })
      return { kind: 'ours' }
    } catch (error) {
      return interpretRefusal(error)
    }
  }

  async #release(address: Address): Promise<void> {
    try {
      await this.#consuming.cancel(queueOf(address))
      await this.#consuming.deleteQueue(queueOf(address))
    } catch {
      // The connection is gone, and the queue with it.
    }
  }

  /** Acknowledged on receipt: a message is never delivered twice, and may be lost with this process. */
  #onMessage(message: ConsumeMessage | null, take: (content: Uint8Array) => void): void {
    if (message === null) return this.#link.fail('the broker ended a mailbox')
    this.#consuming.ack(message)
    take(message.content)
  }
}

async function openDeclaring(model: ChannelModel, onClosed: () => void): Promise<Channel> {
  const channel = await model.createChannel()
  channel.on('error', () => {}) // told to whoever asked on it
  channel.on('close', onClosed)
  return channel
}

/** AMQP 0-9-1's reply codes: 405 is resource-locked, 403 access-refused, 406 precondition-failed. */
function interpretRefusal(error: unknown): ClaimOutcome {
  const { code } = error as { code?: unknown }
  if (code === 405) return { kind: 'held', reason: 'another connection receives there' }
  if (code === 403 || code === 406) return { kind: 'refused', reason: explain(error) }
  return { kind: 'lost' }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
