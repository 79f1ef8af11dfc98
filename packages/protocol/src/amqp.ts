import { LastingConnection, type ConnectionSettings } from './amqp-connection.ts'
import { subscribeAmqp, type EventConsumer } from './amqp-events.ts'
import { AmqpMailboxes } from './amqp-mailboxes.ts'
import { AmqpPublisher } from './amqp-publisher.ts'
import { exchanges, exchangeOf, queueOf, routingKeyOf } from './amqp-topology.ts'
import { parseAmqpUrl } from './amqp-url.ts'
import type { AuditEvent } from './audit-event.ts'
import { BrokerUnavailable } from './errors.ts'
import { encodeEvent } from './event-log.ts'
import { refuseIfTooLarge } from './limits.ts'
import type { TransportOptions } from './open-transport.ts'
import { weakCertificate } from './server-certificate.ts'
import { TlsRenewal } from './tls-renewal.ts'
import {
  addressName,
  type Address,
  type EventFilter,
  type EventSubscription,
  type Mailbox,
  type Transport,
  type TransportStatus,
  type Weakness,
} from './transport.ts'

// RabbitMQ 3.10 to 4.x. Connections: one that publishes, and, once they are needed, one that receives for all
// mailboxes and one for each subscription. A broker that is short of memory or disk stops reading from those that
// publish (connection.blocked), and nothing could be received over a connection that also does.

/** A message that waits this long is dropped: a second check only, after the age of the beacon in it (R9). */
const messageExpiryMs = 30_000

/** Connects, and declares what Filo needs. Throws BrokerUnavailable, with the reason in words. */
export async function openAmqp(
  urls: readonly string[],
  { name, willReceive, heartbeatSeconds = 10, confirmTimeoutMs = 10_000, tls: files }: TransportOptions,
): Promise<AmqpTransport> {
  const tls = files && new TlsRenewal(files)
  const renewals = new Set<() => Promise<void>>()
  const settings = { urls: shuffled(urls.map(parseAmqpUrl)), name, heartbeatSeconds, tls, renewals }
  const statuses = new StatusReports()
  const mailboxes = willReceive && AmqpMailboxes.open(settings, statuses.reporter().report)
  const opened = mailboxes?.catch(() => undefined) // told to whoever opens a mailbox
  try {
    const publisher = await AmqpPublisher.open(settings, confirmTimeoutMs, statuses.reporter().report)
    tls?.keepFresh({
      isUp: () => publisher.peer() !== undefined,
      tryOut: async (current) => {
        await using _connection = await LastingConnection.open(
          { ...settings, tls: { current }, renewals: new Set() },
          async () => true,
          () => {},
        )
      },
      renew: async () => void (await Promise.all([...renewals].map((renew) => renew()))),
      report: (status) => statuses.tell(status),
    })
    return new AmqpTransport({ settings, publisher, statuses, tls }, mailboxes)
  } catch (error) {
    await (await opened)?.[Symbol.asyncDispose]()
    throw error
  }
}

/** Once for each process: all of its connections are to one node of a cluster, and a fleet's are to all of them. */
function shuffled<Url>(urls: readonly Url[]): Url[] {
  const thrown = urls.map((url) => ({ url, order: Math.random() }))
  return thrown.toSorted((one, other) => one.order - other.order).map(({ url }) => url)
}

interface AmqpParts {
  readonly settings: ConnectionSettings
  readonly publisher: AmqpPublisher
  readonly statuses: StatusReports
  readonly tls: TlsRenewal | undefined
}

export class AmqpTransport implements Transport {
  readonly #settings: ConnectionSettings
  readonly #publisher: AmqpPublisher
  readonly #statuses: StatusReports
  readonly #subscriptions = new Set<EventSubscription>()
  readonly #tls: TlsRenewal | undefined
  #mailboxes: Promise<AmqpMailboxes> | undefined
  #malformedEvents = 0
  #closed = false

  constructor(parts: AmqpParts, mailboxes?: Promise<AmqpMailboxes>) {
    this.#settings = parts.settings
    this.#publisher = parts.publisher
    this.#statuses = parts.statuses
    this.#tls = parts.tls
    this.#mailboxes = mailboxes
  }

  async open(address: Address, receive: (message: Uint8Array) => void): Promise<Mailbox> {
    this.#refuseIfClosed()
    this.#mailboxes ??= AmqpMailboxes.open(this.#settings, this.#statuses.reporter().report)
    const mailboxes = await this.#mailboxes.catch((error: unknown) => {
      this.#mailboxes = undefined // the next one tries again
      throw error
    })
    return mailboxes.openMailbox(address, receive)
  }

  async send(to: Address, message: Uint8Array): Promise<void> {
    refuseIfTooLarge(message)
    await this.#publisher.publish({
      what: `a message to ${addressName(to)}`,
      exchange: exchangeOf(to),
      routingKey: queueOf(to),
      body: message,
      options: { mandatory: true, expiration: messageExpiryMs },
    })
  }

  async publish(event: AuditEvent): Promise<void> {
    const body = encodeEvent(event)
    refuseIfTooLarge(body)
    await this.#publisher.publish({
      what: `event ${event.sequence} of ${event.source}`,
      exchange: exchanges.events,
      routingKey: routingKeyOf(event),
      body,
      options: { persistent: true },
    })
  }

  async subscribe(name: string, filter: EventFilter, signal?: AbortSignal): Promise<EventSubscription> {
    this.#refuseIfClosed()
    signal?.throwIfAborted()
    const reporter = this.#statuses.reporter()
    const consumer: EventConsumer = {
      name,
      filter,
      report: reporter.report,
      onMalformed: () => this.#malformedEvents++,
      onEnded: () => {
        reporter.end()
        this.#subscriptions.delete(subscription)
      },
    }
    const subscription = await subscribeAmqp(this.#settings, consumer, signal)
    this.#subscriptions.add(subscription)
    return subscription
  }

  onStatus(listener: (status: TransportStatus) => void): void {
    this.#statuses.listen(listener)
  }

  peer(): string | undefined {
    return this.#publisher.peer()
  }

  /** Nothing about events: a quorum queue confirms what is on disk. */
  async weaknesses(): Promise<readonly Weakness[]> {
    return weakCertificate(this.#publisher.stream)
  }

  /** What arrived and was dropped unseen, because no part of Filo would have sent it. */
  async dropped(): Promise<{ readonly oversizedMessages: number; readonly malformedEvents: number }> {
    const mailboxes = await this.#mailboxes
    return { oversizedMessages: mailboxes?.oversized ?? 0, malformedEvents: this.#malformedEvents }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#tls?.[Symbol.asyncDispose]()
    const mailboxes = await this.#mailboxes?.catch(() => undefined)
    const all = [...this.#subscriptions, ...(mailboxes === undefined ? [] : [mailboxes]), this.#publisher]
    await Promise.all(all.map((it) => it[Symbol.asyncDispose]()))
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new BrokerUnavailable('this transport is closed')
  }
}

/** Where one connection reports, until it ends on purpose. */
interface Reporter {
  report(this: void, status: TransportStatus): void
  end(): void
}

/** Makes one report of several connections: lost when the first is, back when the last is. */
class StatusReports {
  readonly #listeners: ((status: TransportStatus) => void)[] = []
  readonly #lost = new Set<Reporter>()

  listen(listener: (status: TransportStatus) => void): void {
    this.#listeners.push(listener)
  }

  reporter(): Reporter {
    const reporter: Reporter = {
      report: (status) => {
        const wereLost = this.#lost.size > 0
        if (status.kind === 'disconnected') this.#lost.add(reporter)
        if (status.kind === 'connected') this.#lost.delete(reporter)
        if (status.kind === 'disconnected' && wereLost) return
        if (status.kind === 'connected' && this.#lost.size > 0) return
        this.tell(status)
      },
      end: () => {
        if (this.#lost.delete(reporter) && this.#lost.size === 0) this.tell({ kind: 'connected' })
      },
    }
    return reporter
  }

  tell(status: TransportStatus): void {
    for (const listener of this.#listeners) listener(status)
  }
}
