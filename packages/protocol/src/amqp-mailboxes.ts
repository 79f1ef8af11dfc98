import { setTimeout as delay } from 'node:timers/promises'
import { LastingConnection, type ConnectionSettings } from './amqp-connection.ts'
import { ReceivingSession } from './amqp-receiving-session.ts'
import { AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { addressName, type Address, type Mailbox, type TransportStatus } from './transport.ts'
import { aborted, briefly } from './waiting.ts'

/** Between two attempts at an address that another connection holds. */
const retryMs = 500

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
