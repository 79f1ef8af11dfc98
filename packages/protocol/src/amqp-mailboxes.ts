import { setTimeout as delay } from 'node:timers/promises'
import { LastingConnection, type ConnectionSettings } from './amqp-connection.ts'
import { ReceivingSession, type ClaimOutcome } from './amqp-receiving-session.ts'
import { queueBeside, queueOf } from './amqp-topology.ts'
import { AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { addressName, type Address, type Mailbox, type TransportStatus } from './transport.ts'
import { aborted, briefly } from './waiting.ts'

/** Between two attempts at an address that another connection holds; and while we receive beside it. */
const retryMs = 500
const retryBesideMs = 5000

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
    const { heartbeatSeconds, urls } = this.#settings
    const times = {
      besideAfterMs: 2 * heartbeatSeconds * 1000,
      checkEveryMs: urls.length > 1 ? 3 * heartbeatSeconds * 1000 : undefined,
    }
    const mailbox = new AmqpMailbox(address, this.#connection, times, {
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
    const patienceMs = 4 * heartbeatSeconds * 1000
    try {
      await mailbox.open(patienceMs)
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

interface MailboxTimes {
  /** How long the address is held by somebody else until we receive beside it, milliseconds. */
  readonly besideAfterMs: number
  /** How often it is asked whether the queue is still there, milliseconds; undefined where it is not. */
  readonly checkEveryMs: number | undefined
}

/** A second queue of an address, and the connection that has it. */
interface Beside {
  readonly session: ReceivingSession
  readonly queue: string
}

/**
 * Receives in one exclusive queue, whose name says whose it is. After the loss of its connection that queue may be held by
 * what is left of ourselves: the broker does not know yet that the connection is broken; or the node of a cluster on which the
 * queue was is frozen or dead, and RabbitMQ from 4.2 on keeps it in its books until that node is back or taken out of the
 * cluster. So who has owned the address once receives beside it when it is held for long, and takes it again when it can.
 *
 * A node that comes back after it was frozen ends the connections that it had, and with them queues of these names, of whomever they
 * are by now; the broker tells nobody. So in a cluster the owner asks from time to time whether its queue is there.
 */
class AmqpMailbox implements Mailbox {
  readonly address: Address
  readonly #queue: string
  readonly #connection: LastingConnection<ReceivingSession>
  readonly #times: MailboxTimes
  readonly #owner: MailboxOwner
  readonly #closing = new AbortController()

  constructor(
    address: Address,
    connection: LastingConnection<ReceivingSession>,
    times: MailboxTimes,
    owner: MailboxOwner,
  ) {
    this.address = address
    this.#queue = queueOf(address)
    this.#connection = connection
    this.#times = times
    this.#owner = owner
  }

  /** Takes the address, and from then on keeps it. Throws AddressInUse, BrokerUnavailable. */
  async open(patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const session = await this.#connection.session(Math.max(0, deadline - performance.now()))
      const outcome = await this.#claim(session, this.#queue)
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
      await this.#pause(retryMs)
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
    if (session !== undefined) await briefly(session.release(this.#queue))
  }

  get #name(): string {
    return addressName(this.address)
  }

  /** A connection after the other: waits for its loss, then takes the address on the next. */
  async #keep(first: ReceivingSession): Promise<void> {
    let session: ReceivingSession | undefined = first
    while (session !== undefined) {
      await this.#untilLost(session)
      session = await this.#reclaim()
    }
  }

  async #untilLost(session: ReceivingSession): Promise<void> {
    const { checkEveryMs } = this.#times
    const checking =
      checkEveryMs === undefined
        ? undefined
        : setInterval(() => void session.check(this.#queue), checkEveryMs)
    await Promise.race([session.lost, aborted(this.#closing.signal)])
    clearInterval(checking)
  }

  async #reclaim(): Promise<ReceivingSession | undefined> {
    let heldSinceMs: number | undefined
    let beside: Beside | undefined
    while (!this.#closing.signal.aborted) {
      const session = await this.#connection.session(retryMs).catch(() => undefined)
      const outcome = session && (await this.#claim(session, this.#queue))
      if (session !== undefined && outcome?.kind === 'ours') {
        if (beside?.session === session) await session.release(beside.queue)
        if (!this.#closing.signal.aborted) return session
        await session.release(this.#queue)
      }
      if ((outcome?.kind === 'held' || outcome?.kind === 'refused') && heldSinceMs === undefined) {
        this.#owner.report({ kind: 'displaced', address: this.address, reason: outcome.reason })
        heldSinceMs = performance.now()
      }
      if (session !== undefined && outcome?.kind === 'held') {
        const isLong = performance.now() - heldSinceMs! >= this.#times.besideAfterMs
        if (isLong && beside?.session !== session) beside = await this.#receiveBeside(session)
      }
      if (beside === undefined || beside.session !== session) await this.#pause(retryMs)
      else await Promise.race([beside.session.lost, this.#pause(retryBesideMs)])
    }
    if (beside !== undefined) await briefly(beside.session.release(beside.queue))
    return undefined
  }

  async #receiveBeside(session: ReceivingSession): Promise<Beside | undefined> {
    const queue = queueBeside(this.address)
    const outcome = await this.#claim(session, queue)
    return outcome.kind === 'ours' ? { session, queue } : undefined
  }

  #claim(session: ReceivingSession, queue: string): Promise<ClaimOutcome> {
    return session.claim(this.address, queue, this.#take)
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  /** In a turn of its own: what throws in a receiver is a bug, and must not end up as an error of the channel. */
  readonly #take = (content: Uint8Array): void => {
    setImmediate(() => {
      if (!this.#closing.signal.aborted) this.#owner.take(content)
    })
  }
}
