import type { AuditEvent } from './audit-event.ts'

/** Where a message goes: an agent by its host, a coordinator by the id of its process. */
export type Address = { readonly agent: string } | { readonly coordinator: string }

export function addressName(address: Address): string {
  return 'agent' in address ? `agent.${address.agent}` : `coordinator.${address.coordinator}`
}

/** A place where messages arrive until it is disposed. */
export interface Mailbox extends AsyncDisposable {
  readonly address: Address
}

/** Which audit events a consumer wants; a field left out matches all. */
export interface EventFilter {
  /** This type, and those below it: `filo.action` selects `filo.action.finished`. */
  readonly type?: string
  readonly host?: string
  /** What is about instances of this service. */
  readonly service?: string
  /** What belongs to this run. */
  readonly run?: string
}

/** One event that waits to be acknowledged; unacknowledged ones come again. */
export interface Delivery {
  readonly event: AuditEvent
  acknowledge(this: void): void
}

/** A durable place in the event log. Ends when disposed or when its signal aborts. */
export interface EventSubscription extends AsyncIterable<Delivery>, AsyncDisposable {}

/**
 * Mailboxes and one event log.
 *
 * Delivery is at most once in hope only: messages may be lost, repeated, delayed and reordered, and whoever has
 * the broker may forge them. Nothing above relies on more; safety lies in the envelope, the ledger and the run.
 *
 * Opened means usable; disposed means drained: what was accepted by `send` has been confirmed or reported.
 */
export interface Transport extends AsyncDisposable {
  /** Receives at `address` from now on, across reconnects. Throws AddressInUse, BrokerUnavailable. */
  open(address: Address, receive: (message: Uint8Array) => void): Promise<Mailbox>
  /**
   * Hands a message over. Throws NobodyThere, Ambiguous; either way the receiver may have it. Throws
   * BrokerUnavailable when it never left this process, and RangeError for more than `limits.messageBytes`.
   */
  send(to: Address, message: Uint8Array): Promise<void>
  /** Resolves when the broker has confirmed the event. Throws Ambiguous, BrokerUnavailable. */
  publish(event: AuditEvent): Promise<void>
  /**
   * The events for `consumer`, from where it last acknowledged; a consumer's first subscription begins now. Of
   * several subscriptions of one consumer the first is served, the others stand by to take its place. Events
   * that its filter leaves out are acknowledged unseen. Throws BrokerUnavailable.
   */
  subscribe(consumer: string, filter: EventFilter, signal?: AbortSignal): Promise<EventSubscription>
  /** Called whenever the connection is lost or back; says so to a person. */
  onStatus(listener: (status: TransportStatus) => void): void
  /** What is at the other end, as it says itself: `RabbitMQ 3.10.8`. Undefined while there is nobody. */
  peer(): string | undefined
  /** What will fail, or may be lost, though all is well now. Throws BrokerUnavailable. */
  weaknesses(): Promise<readonly Weakness[]>
}

/** For an administrator: what may be lost, and what to do about it. */
export interface Weakness {
  readonly text: string
  readonly advice: string
}

export type TransportStatus =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly reason: string }
  /** The broker takes no messages for now: a memory or disk alarm. Followed by `connected`. */
  | { readonly kind: 'blocked'; readonly reason: string }
  /** After a reconnect another receives at an address of ours; it is asked for until it is free again. */
  | { readonly kind: 'displaced'; readonly address: Address; readonly reason: string }
  /** The files of TLS have changed, and the connections were replaced by new ones. */
  | { readonly kind: 'renewed' }
  /** The files of TLS have changed and cannot be used: the connections go on with what was in them before. */
  | { readonly kind: 'outdated'; readonly reason: string }
  /** What the files of TLS hold is valid for less than two weeks; told once a day. */
  | { readonly kind: 'expiring'; readonly reason: string }
