import { jetstream, JetStreamApiError } from '@nats-io/jetstream'
import { RequestError } from '@nats-io/transport-node'
import type { AuditEvent } from './audit-event.ts'
import { AddressInUse, Ambiguous, BrokerUnavailable } from './errors.ts'
import { encodeEvent } from './event-log.ts'
import { refuseIfTooLarge } from './limits.ts'
import { NatsLink, type NatsSettings } from './nats-connection.ts'
import { ensureEventStream, eventLogWeaknesses, subscribeNats, type NatsConsumer } from './nats-events.ts'
import { NatsMailbox, type NatsMailboxOwner } from './nats-mailbox.ts'
import { eventSubject, mailboxSubject } from './nats-topology.ts'
import { explainNats, parseNatsUrls } from './nats-url.ts'
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

// NATS 2.9 to 2.12, the event log in JetStream. One connection: a NATS server never stops reading from those that
// publish, so nothing has to be kept apart from them.

/** Connects. Throws BrokerUnavailable, with the reason in words. */
export async function openNats(
  urls: readonly string[],
  { name, heartbeatSeconds = 10, confirmTimeoutMs = 10_000, tls: files }: TransportOptions,
): Promise<NatsTransport> {
  const tls = files && new TlsRenewal(files)
  const settings = { servers: parseNatsUrls(urls), name, heartbeatSeconds, confirmTimeoutMs, tls }
  const listeners: ((status: TransportStatus) => void)[] = []
  const report = (status: TransportStatus): void => {
    for (const listener of listeners) listener(status)
  }
  const link = await NatsLink.open(settings, report)
  tls?.keepFresh({
    isUp: () => link.isUp,
    tryOut: async (current) => {
      await using _connection = await NatsLink.open({ ...settings, tls: { current } }, () => {})
    },
    renew: () => link.renew(),
    report,
  })
  return new NatsTransport({ settings, link, tls }, listeners)
}

interface NatsParts {
  readonly settings: NatsSettings
  readonly link: NatsLink
  readonly tls: TlsRenewal | undefined
}

export class NatsTransport implements Transport {
  readonly #settings: NatsSettings
  readonly #link: NatsLink
  readonly #tls: TlsRenewal | undefined
  readonly #listeners: ((status: TransportStatus) => void)[]
  readonly #addresses = new Set<string>()
  readonly #mailboxes = new Set<Mailbox>()
  readonly #subscriptions = new Set<EventSubscription>()
  #oversizedMessages = 0
  #malformedEvents = 0

  constructor({ settings, link, tls }: NatsParts, listeners: ((status: TransportStatus) => void)[]) {
    this.#settings = settings
    this.#link = link
    this.#tls = tls
    this.#listeners = listeners
  }

  async open(address: Address, receive: (message: Uint8Array) => void): Promise<Mailbox> {
    this.#link.refuseIfClosed()
    const name = addressName(address)
    if (this.#addresses.has(name)) {
      throw new AddressInUse(`${name} is in use: something in this process already receives there`)
    }
    this.#addresses.add(name)
    const owner: NatsMailboxOwner = {
      receive,
      report: (status) => this.#tell(status),
      onOversized: () => this.#oversizedMessages++,
      onClosed: () => this.#addresses.delete(name),
    }
    // As long as over AMQP: a broker notices a broken connection after three heartbeats at the latest.
    const patienceMs = 4 * this.#settings.heartbeatSeconds * 1000
    const mailbox = await NatsMailbox.open(address, this.#link, patienceMs, owner)
    this.#mailboxes.add(mailbox)
    return mailbox
  }

  async send(to: Address, message: Uint8Array): Promise<void> {
    refuseIfTooLarge(message)
    await this.#link.send(mailboxSubject(to), message, `a message to ${addressName(to)}`)
  }

  publish(event: AuditEvent): Promise<void> {
    return this.#link.track(this.#publish(event))
  }

  async subscribe(name: string, filter: EventFilter, signal?: AbortSignal): Promise<EventSubscription> {
    this.#link.refuseIfClosed()
    signal?.throwIfAborted()
    const consumer: NatsConsumer = {
      name,
      filter,
      onMalformed: () => this.#malformedEvents++,
      onEnded: () => this.#subscriptions.delete(subscription),
    }
    const subscription = await subscribeNats(this.#link, consumer, signal)
    this.#subscriptions.add(subscription)
    return subscription
  }

  onStatus(listener: (status: TransportStatus) => void): void {
    this.#listeners.push(listener)
  }

  peer(): string | undefined {
    const version = this.#link.connection.info?.version
    return version === undefined ? undefined : `NATS ${version}`
  }

  async weaknesses(): Promise<readonly Weakness[]> {
    await this.#link.untilUp()
    return [...weakCertificate(this.#link.stream), ...(await eventLogWeaknesses(this.#link))]
  }

  /** What arrived and was dropped unseen, because no part of Filo would have sent it. */
  async dropped(): Promise<{ readonly oversizedMessages: number; readonly malformedEvents: number }> {
    return { oversizedMessages: this.#oversizedMessages, malformedEvents: this.#malformedEvents }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tls?.[Symbol.asyncDispose]()
    const all = [...this.#subscriptions, ...this.#mailboxes]
    await Promise.all(all.map((it) => it[Symbol.asyncDispose]()))
    await this.#link[Symbol.asyncDispose]()
  }

  async #publish(event: AuditEvent): Promise<void> {
    const body = encodeEvent(event)
    refuseIfTooLarge(body)
    await this.#link.untilUp()
    try {
      await this.#store(event, body)
    } catch (error) {
      if (!isWithoutStream(error)) throw this.#inWords(event, error)
      try {
        await ensureEventStream(this.#link)
        await this.#store(event, body)
      } catch (again) {
        throw this.#inWords(event, again)
      }
    }
  }

  async #store(event: AuditEvent, body: Uint8Array): Promise<void> {
    const timeout = this.#settings.confirmTimeoutMs
    const client = jetstream(this.#link.connection, { timeout })
    const stored = client.publish(eventSubject(event), body, { timeout })
    const lost = this.#link.lost.then(() => Promise.reject(new Error('the connection was lost')))
    await Promise.race([stored, lost])
  }

  #inWords(event: AuditEvent, error: unknown): Error {
    const what = `event ${event.sequence} of ${event.source}`
    if (isWithoutStream(error)) {
      return new BrokerUnavailable(`nothing stores ${what}: is JetStream enabled on the server?`)
    }
    if (error instanceof JetStreamApiError) {
      return new BrokerUnavailable(`the broker refuses ${what}: ${error.message}`)
    }
    return new Ambiguous(`no confirm for ${what}: ${explainNats(error)}`)
  }

  #tell(status: TransportStatus): void {
    for (const listener of this.#listeners) listener(status)
  }
}

/** No stream takes the subject, or JetStream is off. */
function isWithoutStream(error: unknown): boolean {
  const { cause } = error as { cause?: unknown }
  return cause instanceof RequestError && cause.isNoResponders()
}
