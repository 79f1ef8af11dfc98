import { AuditEvent } from './audit-event.ts'
import { limits } from './limits.ts'
import type { Delivery, EventFilter, EventSubscription } from './transport.ts'

// What the event logs of all transports have in common.

export function encodeEvent(event: AuditEvent): Buffer {
  return Buffer.from(JSON.stringify(event))
}

/** Undefined for bytes that are no audit event: whoever has the broker may have put them there. */
export function decodeEvent(bytes: Uint8Array): AuditEvent | undefined {
  if (bytes.length > limits.messageBytes) return undefined
  try {
    return AuditEvent.safeParse(JSON.parse(Buffer.from(bytes).toString())).data
  } catch {
    return undefined
  }
}

/** The host whose agent is the source of an event; none for a coordinator's. */
export function hostOf({ source }: Pick<AuditEvent, 'source'>): string | undefined {
  return /^\/agents\/(.+)$/.exec(source)?.[1]
}

export function selects(filter: EventFilter, event: AuditEvent): boolean {
  if (filter.type !== undefined && !`${event.type}.`.startsWith(`${filter.type}.`)) return false
  if (filter.host !== undefined && filter.host !== hostOf(event)) return false
  if (filter.service !== undefined && !event.subject.startsWith(`${filter.service}@`)) return false
  return filter.run === undefined || filter.run === event.data.run
}

/** Deliveries on their way from a transport to the loop that reads them. */
export class DeliveryQueue implements EventSubscription {
  readonly #end: () => Promise<void>
  #signal: AbortSignal | undefined
  readonly #onAbort = () => void this[Symbol.asyncDispose]()
  #waiting: Delivery[] = []
  #wake = Promise.withResolvers<void>()
  #ending: Promise<void> | undefined

  /** @param end gives the place up; called once. */
  constructor(end: () => Promise<void>) {
    this.#end = end
  }

  endOn(signal: AbortSignal | undefined): void {
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted) this.#onAbort()
  }

  push(delivery: Delivery): void {
    if (this.#ending !== undefined) return
    this.#waiting.push(delivery)
    this.#wake.resolve()
  }

  /** Forgets what was not read yet: it will be delivered again. */
  clear(): void {
    this.#waiting = []
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery, void> {
    while (this.#ending === undefined) {
      const delivery = this.#waiting.shift()
      if (delivery !== undefined) yield delivery
      else {
        this.#wake = Promise.withResolvers<void>()
        await this.#wake.promise
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#ending === undefined) {
      this.#signal?.removeEventListener('abort', this.#onAbort)
      this.#ending = this.#end()
      this.clear()
      this.#wake.resolve()
    }
    return this.#ending
  }
}
