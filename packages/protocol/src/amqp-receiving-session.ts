import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import { failWith, type Link } from './amqp-connection.ts'
import { declareExchanges, exchangeOf, queueOf } from './amqp-topology.ts'
import { explain } from './amqp-url.ts'
import { limits } from './limits.ts'
import type { Address } from './transport.ts'

/** Messages that the broker may have given to one mailbox before it has seen an acknowledgement. */
const prefetch = 128

/**
 * What came of asking for an address: `ours`; `held` by another connection; `refused` for good; or the
 * connection was `lost` meanwhile.
 */
export type ClaimOutcome =
  | { readonly kind: 'ours' | 'lost' }
  | { readonly kind: 'held' | 'refused'; readonly reason: string }

/** What mailboxes need of one connection. */
export class ReceivingSession {
  readonly lost: Promise<string>
  readonly #link: Link
  readonly #consuming: Channel
  /** Queues are declared one after the other: a refusal closes the channel, with all that is asked on it. */
  #turn: Promise<unknown> = Promise.resolve()
  #declaring: Channel | undefined
  /** Of this turn of the event loop; not acknowledged yet. */
  #newest: ConsumeMessage | undefined

  private constructor(link: Link, consuming: Channel) {
    this.lost = link.lost
    this.#link = link
    this.#consuming = consuming
  }

  static async open(this: void, link: Link): Promise<ReceivingSession> {
    const consuming = await link.model.createChannel()
    failWith(link, consuming)
    await consuming.prefetch(prefetch)
    await declareExchanges(link.model)
    return new ReceivingSession(link, consuming)
  }

  /** Receives what is sent to the address in this queue. */
  claim(address: Address, queue: string, take: (content: Uint8Array) => void): Promise<ClaimOutcome> {
    const claiming = this.#turn.then(() => this.#claim(address, queue, take))
    this.#turn = claiming
    return claiming
  }

  /** Ends the connection where the broker does not know the queue any more, or as somebody else's. */
  check(queue: string): Promise<void> {
    const checking = this.#turn.then(() => this.#check(queue))
    this.#turn = checking
    return checking
  }

  /** Nothing arrives in this queue any more. */
  release(queue: string): Promise<void> {
    const releasing = this.#turn.then(() => this.#release(queue))
    this.#turn = releasing
    return releasing
  }

  async #claim(address: Address, queue: string, take: (content: Uint8Array) => void): Promise<ClaimOutcome> {
    try {
      const declaring = await this.#openDeclaring()
      await declaring.assertQueue(queue, {
        exclusive: true,
        durable: false,
        arguments: { 'x-max-length-bytes': limits.mailboxQueueBytes, 'x-overflow': 'reject-publish' },
      })
      await declaring.bindQueue(queue, exchangeOf(address), queueOf(address))
      await this.#consuming.consume(queue, (message) => this.#onMessage(message, take), {
        consumerTag: queue,
      })
      return { kind: 'ours' }
    } catch (error) {
      return interpretRefusal(error)
    }
  }

  async #check(queue: string): Promise<void> {
    try {
      await (await this.#openDeclaring()).checkQueue(queue)
    } catch (error) {
      const { code } = error as { code?: unknown }
      if (code === 404 || code === 405) this.#link.fail('the broker has forgotten a mailbox')
    }
  }

  async #openDeclaring(): Promise<Channel> {
    this.#declaring ??= await openDeclaring(this.#link.model, () => (this.#declaring = undefined))
    return this.#declaring
  }

  async #release(queue: string): Promise<void> {
    try {
      await this.#consuming.cancel(queue)
      await this.#consuming.deleteQueue(queue)
    } catch {
      // The connection is gone, and the queue with it.
    }
  }

  /** Acknowledged on receipt: a message is never delivered twice, and may be lost with this process. */
  #onMessage(message: ConsumeMessage | null, take: (content: Uint8Array) => void): void {
    if (message === null) return this.#link.fail('the broker ended a mailbox')
    this.#acknowledgeSoon(message)
    take(message.content)
  }

  /** What comes together is acknowledged together: each acknowledgement is a packet of its own. */
  #acknowledgeSoon(message: ConsumeMessage): void {
    if (this.#newest === undefined) {
      setImmediate(() => {
        const newest = this.#newest!
        this.#newest = undefined
        try {
          this.#consuming.ack(newest, true)
        } catch {
          // The connection is gone, and what was not acknowledged with it.
        }
      })
    }
    this.#newest = message
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
