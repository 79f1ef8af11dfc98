import type { Subscription } from '@nats-io/transport-node'
import { AddressInUse, BrokerUnavailable } from './errors.ts'
import { limits } from './limits.ts'
import { type NatsLink } from './nats-connection.ts'
import { Ownership } from './nats-ownership.ts'
import { mailboxSubject, ownerSubject } from './nats-topology.ts'
import { addressName, type Address, type Mailbox, type TransportStatus } from './transport.ts'
import { briefly } from './waiting.ts'

export interface NatsMailboxOwner {
  receive(message: Uint8Array): void
  report(status: TransportStatus): void
  /** Called for a message that is larger than any of ours. */
  onOversized(): void
  onClosed(): void
}

/**
 * Receives at one address. An agent's is owned by one process; a coordinator's is the random id of a process, which
 * nobody else has.
 */
export class NatsMailbox implements Mailbox {
  readonly address: Address
  readonly #link: NatsLink
  readonly #owner: NatsMailboxOwner
  readonly #patienceMs: number
  readonly #closing = new AbortController()
  #ownership: Ownership | undefined
  #subscription: Subscription | undefined
  /** Why the server does not let us listen there. */
  #refusal: string | undefined

  private constructor(address: Address, link: NatsLink, patienceMs: number, owner: NatsMailboxOwner) {
    this.address = address
    this.#link = link
    this.#patienceMs = patienceMs
    this.#owner = owner
  }

  /** Throws AddressInUse, BrokerUnavailable. A living owner is found at once, a silent one waited for. */
  static async open(
    address: Address,
    link: NatsLink,
    patienceMs: number,
    owner: NatsMailboxOwner,
  ): Promise<NatsMailbox> {
    const mailbox = new NatsMailbox(address, link, patienceMs, owner)
    try {
      await mailbox.#open()
      return mailbox
    } catch (error) {
      mailbox.#close()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#close()
    // Nobody is there from now on, as the server sees it.
    await briefly(this.#link.flush())
  }

  async #open(): Promise<void> {
    await this.#link.untilUp()
    if ('agent' in this.address) {
      const subject = ownerSubject('agent', this.address.agent)
      const claimed = await Ownership.claim(this.#link, subject, this.#patienceMs)
      if (claimed.kind === 'held') {
        throw new AddressInUse(
          `${addressName(this.address)} is in use: another process receives there; ` +
            'is this already running somewhere, here or on another machine?',
        )
      }
      this.#keep(claimed.ownership)
    }
    this.#subscribe()
    await this.#link.flush()
    if (this.#refusal !== undefined) {
      throw new BrokerUnavailable(
        `the broker refuses the mailbox ${addressName(this.address)}: ${this.#refusal}`,
      )
    }
  }

  #close(): void {
    this.#closing.abort()
    this.#subscription?.unsubscribe()
    this.#ownership?.release()
    this.#owner.onClosed()
  }

  #subscribe(): void {
    this.#subscription = this.#link.connection.subscribe(mailboxSubject(this.address), {
      callback: (error, message) => {
        if (error === null) this.#take(message.data)
        else this.#refusal = error.message
      },
    })
  }

  /** In a turn of its own: what throws in a receiver is a bug, and must not end up in the client library. */
  #take(message: Uint8Array): void {
    if (message.length > limits.messageBytes) this.#owner.onOversized()
    else
      setImmediate(() => {
        if (!this.#closing.signal.aborted) this.#owner.receive(message)
      })
  }

  #keep(ownership: Ownership): void {
    this.#ownership = ownership
    void ownership.lost.then(() => this.#reclaim())
  }

  /** Another has the address: says so, and takes it again once it is free. */
  async #reclaim(): Promise<void> {
    if (this.#closing.signal.aborted || !('agent' in this.address)) return
    this.#subscription?.unsubscribe()
    const reason = 'another process has taken it while this one could not be reached'
    this.#owner.report({ kind: 'displaced', address: this.address, reason })
    const subject = ownerSubject('agent', this.address.agent)
    const ownership = await Ownership.wait(this.#link, subject, this.#patienceMs, this.#closing.signal)
    if (ownership === undefined) return
    this.#keep(ownership)
    this.#subscribe()
  }
}
