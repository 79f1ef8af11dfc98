import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  createInbox,
  NoRespondersError,
  RequestError,
  type Msg,
  type Subscription,
} from '@nats-io/transport-node'
import * as z from 'zod'
import type { NatsLink } from './nats-connection.ts'

// NATS gives a message to everybody who subscribed: it knows no owner of a subject. So those who want to own one
// speak with each other, on a subject beside it.
//
// O1. Who wants it asks first; a living owner says "held", and the server says at once where there is none.
// O2. Of two that take it in the same instant the one with the lower number stays.
// O3. Who does not answer for the whole of the patience is a ghost (a connection that the server has not noticed to be
//     broken) or frozen: it is taken from them, and an owner that hears of that steps down.
//
// Nothing relies on it but order in a house: safety lies in the envelope and in the ledger.

const answerMs = 500
/** How long another that took it in the same instant has to object. */
const objectionMs = 100
const retryMs = 250

const Word = z.strictObject({
  kind: z.enum(['ask', 'take']),
  number: z.uuid(),
  /** O3: nobody answered for as long as patience lasted. */
  forced: z.boolean().optional(),
})
type Word = z.infer<typeof Word>

export type Claimed = { readonly kind: 'ours'; readonly ownership: Ownership } | { readonly kind: 'held' }

/** One owner's place among those who want the same. Ends with `release`. */
export class Ownership {
  readonly #link: NatsLink
  readonly #subject: string
  readonly #number = randomUUID()
  readonly #lost = Promise.withResolvers<void>()
  readonly #subscription: Subscription
  readonly #leave: () => void
  #phase: 'taking' | 'ours' | 'gone' = 'taking'

  private constructor(link: NatsLink, subject: string) {
    this.#link = link
    this.#subject = subject
    this.#subscription = link.connection.subscribe(subject, {
      // Where it may not listen there is no message: what it wanted to own is refused to it as well.
      callback: (error, message) => {
        if (error === null) this.#hear(message)
      },
    })
    this.#leave = link.onBack(() => void this.#askAgain())
  }

  /** Asks for as long as `patienceMs` where nobody answers. Throws what the link throws. */
  static async claim(link: NatsLink, subject: string, patienceMs: number): Promise<Claimed> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      await link.untilUp()
      const answer = await ask(link, subject)
      if (answer === 'held') return { kind: 'held' }
      const forced = answer === 'silence'
      if (forced && performance.now() < deadline) continue
      const ownership = new Ownership(link, subject)
      if (await ownership.#take(forced)) return { kind: 'ours', ownership }
      ownership.release()
      return { kind: 'held' }
    }
  }

  /** As `claim`, for as long as another holds it; undefined when aborted. */
  static async wait(
    link: NatsLink,
    subject: string,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<Ownership | undefined> {
    while (!signal.aborted) {
      const claimed = await Ownership.claim(link, subject, patienceMs).catch(() => undefined)
      if (claimed?.kind === 'ours') {
        if (!signal.aborted) return claimed.ownership
        claimed.ownership.release()
        return undefined
      }
      await delay(retryMs, undefined, { signal }).catch(() => {})
    }
    return undefined
  }

  /** Resolves when another has it. */
  get lost(): Promise<void> {
    return this.#lost.promise
  }

  /** Free for the next as soon as the server has heard of it (`flush`). */
  release(): void {
    this.#phase = 'gone'
    this.#leave()
    if (!this.#link.connection.isClosed()) this.#subscription.unsubscribe()
  }

  async #take(forced: boolean): Promise<boolean> {
    const word: Word = { kind: 'take', number: this.#number, ...(forced && { forced }) }
    // In a cluster a server hears a moment later of who listens at another: two may not have heard each other's first word.
    const times = this.#link.connection.info?.cluster === undefined ? 1 : 2
    for (let time = 0; time < times && this.#phase === 'taking'; time += 1) {
      if (await this.#isObjected(word, objectionMs)) this.#stepDown()
    }
    if (this.#phase === 'taking') this.#phase = 'ours'
    return this.#phase === 'ours'
  }

  #hear(message: Msg): void {
    const word = read(message)
    if (word === undefined || word.number === this.#number) return
    if (this.#phase === 'ours') {
      if (word.forced) this.#stepDown()
      else message.respond(this.#number)
    } else if (this.#phase === 'taking' && word.kind === 'take') {
      if (this.#number < word.number) message.respond(this.#number)
      else this.#stepDown()
    }
  }

  /** O3. After a time without a connection another may have it. */
  async #askAgain(): Promise<void> {
    if (this.#phase !== 'ours') return
    if (await this.#isObjected({ kind: 'ask', number: this.#number }, answerMs)) this.#stepDown()
  }

  /** Whether anybody answers within that time; our own subscription keeps the server from saying that nobody is there. */
  async #isObjected(word: Word, withinMs: number): Promise<boolean> {
    const { connection } = this.#link
    const reply = createInbox(this.#link.inboxPrefix)
    const heard = Promise.withResolvers<boolean>()
    const answers = connection.subscribe(reply, { callback: () => heard.resolve(true) })
    connection.publish(this.#subject, JSON.stringify(word), { reply })
    const silence = delay(withinMs, false, { ref: false })
    const isObjected = await Promise.race([heard.promise, silence])
    if (!connection.isClosed()) answers.unsubscribe()
    return isObjected
  }

  #stepDown(): void {
    this.release()
    this.#lost.resolve()
  }
}

async function ask(link: NatsLink, subject: string): Promise<'held' | 'free' | 'silence'> {
  const word: Word = { kind: 'ask', number: randomUUID() }
  try {
    await link.connection.request(subject, JSON.stringify(word), { timeout: answerMs })
    return 'held'
  } catch (error) {
    const nobody =
      error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders())
    return nobody ? 'free' : 'silence'
  }
}

/** Undefined for what no part of Filo would have said. */
function read(message: Msg): Word | undefined {
  if (message.data.length > 200) return undefined
  try {
    return Word.safeParse(message.json()).data
  } catch {
    return undefined
  }
}
