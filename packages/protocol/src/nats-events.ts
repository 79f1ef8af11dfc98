import {
  AckPolicy,
  DeliverPolicy,
  jetstream,
  jetstreamManager,
  JetStreamApiError,
  type ConsumerMessages,
  type JetStreamManager,
  type JsMsg,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import { BrokerUnavailable } from './errors.ts'
import { decodeEvent, DeliveryQueue, selects } from './event-log.ts'
import { type NatsLink } from './nats-connection.ts'
import { Ownership } from './nats-ownership.ts'
import { consumerName, eventStream, eventSubject, eventStreamConfig, ownerSubject } from './nats-topology.ts'
import { explainNats } from './nats-url.ts'
import type { EventFilter, EventSubscription, Weakness } from './transport.ts'
import { aborted, briefly, partingMs } from './waiting.ts'

/** Events that a consumer may have unacknowledged. */
const prefetch = 256
/** What is not acknowledged for this long comes again; what is in hand is renewed three times as often. */
const ackWaitMs = 2000
/** How long one request for messages stands, and how often the server shows meanwhile that it does. */
const pullMs = 10_000
const heartbeatMs = 1000
const apiTimeoutMs = 5000
const streamInUse = 10058
/** Fewer servers than replicas, as far as the cluster sees them now. */
const noPeers = 10005
const consumerExists = 10148
/** An owner that does not answer for this long is gone. */
const patienceMs = 3000

export interface NatsConsumer {
  readonly name: string
  readonly filter: EventFilter
  /** Called for a message in the stream that is no audit event. */
  onMalformed(): void
  onEnded(): void
}

/** Makes sure that there is a stream. One that an administrator made is taken as it is. */
export async function ensureEventStream(link: NatsLink): Promise<JetStreamManager> {
  const manager = await jetstreamManager(link.connection, { checkAPI: false, timeout: apiTimeoutMs })
  // A cluster of three survives the loss of one; a single server knows of no cluster.
  const isCluster = link.connection.info?.cluster !== undefined
  // A cluster that is smaller, or that has lost one before there was a stream, says so; a client cannot count its servers.
  if (!isCluster || !(await isMade(manager, 3))) await isMade(manager, 1)
  return manager
}

/** Whether there is a stream now, with so many replicas or as it was before; false where there are too few servers. */
async function isMade(manager: JetStreamManager, replicas: number): Promise<boolean> {
  try {
    await manager.streams.add(eventStreamConfig(replicas))
    return true
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === streamInUse) return true
    if (error instanceof JetStreamApiError && error.code === noPeers && replicas > 1) return false
    throw error
  }
}

/** What JetStream does not promise by itself, as far as a client can see it. Throws BrokerUnavailable. */
export async function eventLogWeaknesses(link: NatsLink): Promise<readonly Weakness[]> {
  try {
    const manager = await ensureEventStream(link)
    const { config } = await manager.streams.info(eventStream)
    return [...(config.num_replicas > 1 ? [] : [oneReplica]), weakSync(link)]
  } catch (error) {
    throw withoutJetStream(error)
  }
}

const oneReplica: Weakness = {
  text: `the stream ${eventStream} has one replica: events that no consumer has read are lost with its server`,
  advice:
    `in a cluster: nats stream edit ${eventStream} --replicas 3; ` +
    'agents and coordinator keep their own logs either way',
}

/** `sync_interval: always` is there since nats-server 2.10, and no client is told whether it is set. */
function weakSync(link: NatsLink): Weakness {
  const [major = 0, minor = 0] = (link.connection.info?.version ?? '').split('.').map(Number)
  const canSync = major > 2 || (major === 2 && minor >= 10)
  return {
    text: canSync
      ? 'JetStream acknowledges events before they are on disk, unless its configuration says otherwise, which cannot be seen from here'
      : 'JetStream acknowledges events before they are on disk, and this version cannot do otherwise',
    advice: canSync
      ? 'in nats-server.conf: jetstream { sync_interval: always }'
      : 'nats-server 2.10 or later with jetstream { sync_interval: always } keeps what it acknowledged',
  }
}

/** A durable place in the event log. Throws BrokerUnavailable. */
export async function subscribeNats(
  link: NatsLink,
  consumer: NatsConsumer,
  signal: AbortSignal | undefined,
): Promise<EventSubscription> {
  await link.untilUp()
  try {
    await declareConsumer(link, consumer.name)
  } catch (error) {
    throw withoutJetStream(error)
  }
  const ending = new AbortController()
  const deliveries = new DeliveryQueue(async () => {
    ending.abort()
    await briefly(serving, 2 * partingMs)
    consumer.onEnded()
  })
  const serving = serve(link, consumer, deliveries, ending.signal)
  deliveries.endOn(signal)
  return deliveries
}

function withoutJetStream(cause: unknown): BrokerUnavailable {
  return new BrokerUnavailable(
    `${explainNats(cause)}; Filo keeps events in the stream ${eventStream}, which takes a server with JetStream`,
    { cause },
  )
}

/** The first subscription of a consumer begins now; later ones find its place. */
async function declareConsumer(link: NatsLink, name: string): Promise<void> {
  const manager = await ensureEventStream(link)
  try {
    await manager.consumers.add(eventStream, {
      durable_name: consumerName(name),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.New,
      ack_wait: nanos(ackWaitMs),
      max_ack_pending: prefetch,
      max_deliver: -1,
    })
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== consumerExists) throw error
  }
}

/** Stands by until the consumer is ours, then reads until it ends or is taken from us; and again. */
async function serve(
  link: NatsLink,
  consumer: NatsConsumer,
  deliveries: DeliveryQueue,
  signal: AbortSignal,
): Promise<void> {
  const subject = ownerSubject('consumer', consumer.name)
  while (!signal.aborted) {
    const ownership = await Ownership.wait(link, subject, patienceMs, signal)
    if (ownership === undefined) return
    const reading = new AbortController()
    const stop = (): void => reading.abort()
    signal.addEventListener('abort', stop)
    void ownership.lost.then(stop)
    await read(link, consumer, deliveries, reading.signal)
    signal.removeEventListener('abort', stop)
    // What we had is not ours to acknowledge any more: it comes again.
    deliveries.clear()
    ownership.release()
    await briefly(link.flush())
  }
}

/** Reads until the signal aborts. A stream or a consumer that is gone (a broker without its data) is made anew. */
async function read(
  link: NatsLink,
  consumer: NatsConsumer,
  deliveries: DeliveryQueue,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const hand = new Hand(consumer, deliveries)
    let messages: ConsumerMessages | undefined
    try {
      await link.untilUp()
      await declareConsumer(link, consumer.name)
      const client = jetstream(link.connection, { timeout: apiTimeoutMs })
      const pull = await client.consumers.get(eventStream, consumerName(consumer.name))
      hand.expect((await pull.info()).num_ack_pending)
      messages = await pull.consume({
        max_messages: prefetch,
        expires: pullMs,
        idle_heartbeat: heartbeatMs,
        abort_on_missing_resource: true,
        callback: (message) => hand.take(message),
      })
    } catch {
      await pause(signal)
      continue
    }
    await Promise.race([messages.closed(), aborted(signal)])
    await briefly(messages.close())
    await hand.release()
    // A server that is still removing a stream accepts a new one of that name, and then delivers nothing of it.
    await pause(signal)
  }
}

/**
 * What was delivered to us and is not acknowledged yet. It is never given back: after a "nak" that finds nobody
 * waiting, nats-server 2.9 gives some of it twice and some not at all until its time is up. So it comes to the next
 * reader when its time is up, which is soon.
 */
class Hand {
  readonly #consumer: NatsConsumer
  readonly #deliveries: DeliveryQueue
  /** By their place in the stream. */
  readonly #held = new Map<number, JsMsg>()
  readonly #acknowledging = new Set<Promise<unknown>>()
  readonly #renewal: NodeJS.Timeout
  /** Of a reader before us: so many come again, and all wait until they are there, to be delivered in order. */
  #due = 0
  #waiting = new Map<number, JsMsg>()
  #giveUp: NodeJS.Timeout | undefined

  constructor(consumer: NatsConsumer, deliveries: DeliveryQueue) {
    this.#consumer = consumer
    this.#deliveries = deliveries
    this.#renewal = setInterval(() => {
      for (const message of [...this.#held.values(), ...this.#waiting.values()]) message.working()
    }, ackWaitMs / 3)
  }

  /** So many messages come again, and before all others. */
  expect(due: number): void {
    this.#due = due
    if (due > 0) this.#giveUp = setTimeout(() => this.#deliverWaiting(), 3 * ackWaitMs)
  }

  take(message: JsMsg): void {
    if (this.#held.has(message.seq)) {
      // Its time was up while it waited to be read: it is the same, with another receipt.
      this.#held.set(message.seq, message)
    } else if (this.#due === 0) this.#deliver(message)
    else {
      this.#waiting.set(message.seq, message)
      const redelivered = [...this.#waiting.values()].filter((each) => each.redelivered)
      if (redelivered.length >= this.#due) this.#deliverWaiting()
    }
  }

  /** Resolves when what was acknowledged counts as that. */
  async release(): Promise<void> {
    clearInterval(this.#renewal)
    clearTimeout(this.#giveUp)
    const acknowledged = Promise.allSettled(this.#acknowledging)
    await briefly(acknowledged)
    this.#held.clear()
  }

  #deliverWaiting(): void {
    clearTimeout(this.#giveUp)
    this.#due = 0
    const waiting = [...this.#waiting.values()].toSorted((one, other) => one.seq - other.seq)
    this.#waiting = new Map()
    for (const message of waiting) this.#deliver(message)
  }

  #deliver(message: JsMsg): void {
    const event = decodeEvent(message.data)
    // What a user may publish is told by its subject: an event of another source than that names is nobody's.
    if (event === undefined || message.subject !== eventSubject(event)) {
      this.#consumer.onMalformed()
      message.term()
    } else if (selects(this.#consumer.filter, event)) {
      this.#held.set(message.seq, message)
      this.#deliveries.push({ event, acknowledge: () => this.#acknowledge(message.seq) })
    } else message.ack()
  }

  #acknowledge(seq: number): void {
    const message = this.#held.get(seq)
    if (message === undefined) return
    this.#held.delete(seq)
    const acknowledging = message
      .ackAck({ timeout: apiTimeoutMs })
      .catch(() => {})
      .finally(() => this.#acknowledging.delete(acknowledging))
    this.#acknowledging.add(acknowledging)
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await Promise.race([new Promise((resolve) => setTimeout(resolve, 500)), aborted(signal)])
}
