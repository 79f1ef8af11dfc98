import type { AuditEvent } from './audit-event.ts'
import { AddressInUse, BrokerUnavailable, NobodyThere } from './errors.ts'
import { decodeEvent, DeliveryQueue, encodeEvent, selects } from './event-log.ts'
import { limits, refuseIfTooLarge } from './limits.ts'
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

/** Deliveries that one subscription may have unacknowledged; the rest waits in its consumer's queue. */
const windowEvents = 256

/**
 * A broker within the process, for `broker: local`. It keeps what an AMQP broker keeps, for as long as the
 * process lives: who connects, disconnects and connects again finds the mailboxes and events of the others.
 */
export class MemoryBroker {
  readonly #mailboxes = new Map<string, MemoryMailbox>()
  readonly #consumers = new Map<string, MemoryConsumer>()

  connect(): Transport {
    return new MemoryTransport(this.#mailboxes, this.#consumers)
  }
}

class MemoryTransport implements Transport {
  readonly #mailboxes: Map<string, MemoryMailbox>
  readonly #consumers: Map<string, MemoryConsumer>
  readonly #open = new Set<AsyncDisposable>()
  #closed = false

  constructor(mailboxes: Map<string, MemoryMailbox>, consumers: Map<string, MemoryConsumer>) {
    this.#mailboxes = mailboxes
    this.#consumers = consumers
  }

  async open(address: Address, receive: (message: Uint8Array) => void): Promise<Mailbox> {
    this.#refuseIfClosed()
    const name = addressName(address)
    if (this.#mailboxes.has(name)) {
      throw new AddressInUse(`${name} is in use: something in this process already receives there`)
    }
    const mailbox = new MemoryMailbox(address, receive, () => {
      this.#mailboxes.delete(name)
      this.#open.delete(mailbox)
    })
    this.#mailboxes.set(name, mailbox)
    this.#open.add(mailbox)
    return mailbox
  }

  async send(to: Address, message: Uint8Array): Promise<void> {
    this.#refuseIfClosed()
    refuseIfTooLarge(message)
    const mailbox = this.#mailboxes.get(addressName(to))
    if (mailbox === undefined) throw new NobodyThere(`nobody receives at ${addressName(to)}`)
    await mailbox.put(message)
  }

  async publish(event: AuditEvent): Promise<void> {
    this.#refuseIfClosed()
    const bytes = encodeEvent(event)
    refuseIfTooLarge(bytes)
    for (const consumer of this.#consumers.values()) consumer.put(bytes)
  }

  async subscribe(consumer: string, filter: EventFilter, signal?: AbortSignal): Promise<EventSubscription> {
    this.#refuseIfClosed()
    signal?.throwIfAborted()
    const place = this.#consumers.get(consumer) ?? new MemoryConsumer()
    this.#consumers.set(consumer, place)
    const subscription = place.attach(filter, signal, () => this.#open.delete(subscription))
    this.#open.add(subscription)
    return subscription
  }

  /** A connection within the process is never lost, so there is nothing to tell. */
  onStatus(_listener: (status: TransportStatus) => void): void {}

  peer(): undefined {
    return undefined
  }

  /** It forgets all with its process, and nobody takes it for more. */
  async weaknesses(): Promise<readonly Weakness[]> {
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.all(Array.from(this.#open, (it) => it[Symbol.asyncDispose]()))
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new BrokerUnavailable('this transport is closed')
  }
}

class MemoryMailbox implements Mailbox {
  readonly address: Address
  readonly #receive: (message: Uint8Array) => void
  readonly #remove: () => void
  #open = true

  constructor(address: Address, receive: (message: Uint8Array) => void, remove: () => void) {
    this.address = address
    this.#receive = receive
    this.#remove = remove
  }

  /** Delivers a copy in a later turn of the event loop: as over a network, never from within `send`. */
  put(message: Uint8Array): Promise<void> {
    const copy = Uint8Array.from(message)
    return new Promise((resolve) => {
      setImmediate(() => {
        resolve()
        if (this.#open) this.#receive(copy)
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return
    this.#open = false
    this.#remove()
  }
}

interface Attached {
  readonly filter: EventFilter
  readonly queue: DeliveryQueue
  /** The last entry that was handed to this subscription. */
  handed: number
  unacknowledged: number
}

/** What a consumer has not acknowledged yet. Of several subscriptions the first is served, the others stand by. */
class MemoryConsumer {
  readonly #entries = new Map<number, Uint8Array>()
  readonly #attached = new Set<Attached>()
  #bytes = 0
  #last = 0

  put(bytes: Uint8Array): void {
    this.#entries.set(++this.#last, bytes)
    this.#bytes += bytes.length
    for (const number of this.#entries.keys()) {
      if (this.#bytes <= limits.eventQueueBytes) break
      this.#remove(number)
    }
    this.#pump()
  }

  attach(filter: EventFilter, signal: AbortSignal | undefined, onEnd: () => void): EventSubscription {
    const queue = new DeliveryQueue(async () => {
      this.#attached.delete(attached)
      onEnd()
      this.#pump()
    })
    const attached: Attached = { filter, queue, handed: 0, unacknowledged: 0 }
    this.#attached.add(attached)
    queue.endOn(signal)
    this.#pump()
    return queue
  }

  #pump(): void {
    const [active] = this.#attached
    if (active === undefined) return
    for (const [number, bytes] of this.#entries) {
      if (active.unacknowledged >= windowEvents) return
      if (number <= active.handed) continue
      active.handed = number
      const event = decodeEvent(bytes)
      if (event === undefined || !selects(active.filter, event)) this.#remove(number)
      else this.#hand(active, number, event)
    }
  }

  #hand(to: Attached, number: number, event: AuditEvent): void {
    let acknowledged = false
    to.unacknowledged++
    to.queue.push({
      event,
      acknowledge: () => {
        if (acknowledged || !this.#attached.has(to)) return
        acknowledged = true
        to.unacknowledged--
        this.#remove(number)
        this.#pump()
      },
    })
  }

  #remove(number: number): void {
    this.#bytes -= this.#entries.get(number)?.length ?? 0
    this.#entries.delete(number)
  }
}
