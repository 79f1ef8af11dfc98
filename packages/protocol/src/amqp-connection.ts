import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, credentials, type Channel, type ChannelModel, type SocketOptions } from 'amqplib'
import { explain, type AmqpUrl } from './amqp-url.ts'
import { BrokerUnavailable } from './errors.ts'
import type { Tls } from './tls-renewal.ts'
import type { TransportStatus } from './transport.ts'
import { briefly } from './waiting.ts'

// C1. There is one way to set up a connection, for the first and for every later one.
// C2. Whatever goes wrong with a channel ends its connection: there is no half-alive state to reason about.
// C3. Nothing waits for a broker without a bound: not a connect, not a close, not a caller.
// C4. A connection that is replaced on purpose ends when what is in flight on it has been confirmed; what is new waits for the next.

const connectTimeoutMs = 5000
/** Larger frames are put together from several reads: what is too large a message takes twice the memory then. */
const frameMax = 16 * 1024
/** A broker that has just started answers while some of its queues do not: declaring such a one hangs. */
const setUpTimeoutMs = 15_000
/** How long what is in flight may hold up the replacement of its connection. */
const settleMs = 5000
const firstDelayMs = 100
const longestDelayMs = 5000

export interface ConnectionSettings {
  /** Tried in turn, the one that was lost last. */
  readonly urls: readonly AmqpUrl[]
  /** Shown in the broker's list of connections. */
  readonly name: string
  readonly heartbeatSeconds: number
  readonly tls?: Tls | undefined
  /** How to replace each connection that lasts (C4). */
  readonly renewals?: Set<() => Promise<void>>
}

/** One connection, as long as it lasts. */
export interface Link {
  readonly model: ChannelModel
  /** Resolves with the reason when the connection is gone. Never rejects. */
  readonly lost: Promise<string>
  /** Ends the connection (C2). */
  fail(reason: string): void
  /** What is written from now on until the event loop has turned leaves in one piece. */
  gather(this: void): void
  /** Resolves when what is in flight has been confirmed (C4). */
  settle?: () => Promise<unknown>
}

interface Waiter<Session> {
  resolve(session: Session): void
  reject(error: Error): void
}

/**
 * A connection that is replaced whenever it is lost, with what `setUp` makes of each: the session. The first
 * one is there when `open` returns.
 */
export class LastingConnection<Session> implements AsyncDisposable {
  readonly #settings: ConnectionSettings
  readonly #setUp: (link: Link) => Promise<Session>
  readonly #report: (status: TransportStatus) => void
  readonly #closing = new AbortController()
  readonly #waiters = new Set<Waiter<Session>>()
  #current: Session | undefined
  #link: Link | undefined
  #lastReason = ''
  /** Where in the list the next attempt begins. */
  #next = 0
  #kept: Promise<void> = Promise.resolve()
  /** Called when the connection that was ended for its successor has one, or cannot have it now. */
  #onReplaced: (() => void) | undefined

  private constructor(
    settings: ConnectionSettings,
    setUp: (link: Link) => Promise<Session>,
    report: (status: TransportStatus) => void,
  ) {
    this.#settings = settings
    this.#setUp = setUp
    this.#report = report
  }

  /** Throws BrokerUnavailable when no broker of the list can be had now. */
  static async open<Session>(
    settings: ConnectionSettings,
    setUp: (link: Link) => Promise<Session>,
    report: (status: TransportStatus) => void,
  ): Promise<LastingConnection<Session>> {
    const connection = new LastingConnection(settings, setUp, report)
    const link = await connection.#connect()
    connection.#kept = connection.#keep(link)
    settings.renewals?.add(connection.#renew)
    return connection
  }

  /** The session of this moment, if there is one. */
  get current(): Session | undefined {
    return this.#current
  }

  /** The session, now or when there is one again. Throws BrokerUnavailable after `timeoutMs`, and when closed. */
  async session(timeoutMs: number): Promise<Session> {
    if (this.#current !== undefined) return this.#current
    if (this.#closing.signal.aborted) throw new BrokerUnavailable('this transport is closed')
    const { promise, resolve, reject } = Promise.withResolvers<Session>()
    const waiter: Waiter<Session> = { resolve, reject }
    this.#waiters.add(waiter)
    const timer = setTimeout(() => {
      reject(new BrokerUnavailable(`no connection to the broker for ${timeoutMs} ms: ${this.#lastReason}`))
    }, timeoutMs)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    })
  }

  /** From now on a lost connection is not replaced, and nobody waits for one. */
  stopReconnecting(): void {
    this.#closing.abort()
    this.#settings.renewals?.delete(this.#renew)
    for (const waiter of this.#waiters) waiter.reject(new BrokerUnavailable('this transport is closed'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopReconnecting()
    const link = this.#link
    if (link !== undefined) {
      await briefly(link.model.close())
      link.fail('closed')
    }
    await this.#kept
  }

  /** C4. Where there is no connection the next one is new anyway. */
  readonly #renew = async (): Promise<void> => {
    const link = this.#link
    if (link === undefined) return
    this.#current = undefined
    await briefly(Promise.race([link.settle?.(), link.lost]), settleMs)
    if (this.#link !== link) return
    const { promise: replaced, resolve } = Promise.withResolvers<void>()
    this.#onReplaced = resolve
    await briefly(link.model.close())
    link.fail('it is replaced')
    await replaced
  }

  /** One loop for the whole life: connected, lost or ended for the next, connected again. */
  async #keep(first: Link): Promise<void> {
    const { signal } = this.#closing
    let link: Link | undefined = first
    while (link !== undefined) {
      let reason = await link.lost
      const onReplaced = this.#onReplaced
      this.#onReplaced = undefined
      try {
        if (signal.aborted) return
        if (onReplaced !== undefined) {
          link = await this.#connect()
          continue
        }
      } catch (error) {
        reason = (error as Error).message
      } finally {
        onReplaced?.()
      }
      this.#lastReason = reason
      this.#report({ kind: 'disconnected', reason })
      link = await this.#reconnect(signal)
      if (link !== undefined) this.#report({ kind: 'connected' })
    }
  }

  async #reconnect(signal: AbortSignal): Promise<Link | undefined> {
    for (let capMs = firstDelayMs; ; capMs = Math.min(capMs * 2, longestDelayMs)) {
      // Jitter: a broker that comes back is not met by its whole fleet in one instant.
      await delay(capMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {})
      if (signal.aborted) return undefined
      try {
        return await this.#connect()
      } catch (error) {
        this.#lastReason = (error as Error).message
      }
    }
  }

  async #connect(): Promise<Link> {
    const failures: string[] = []
    const { urls } = this.#settings
    // One that was lost may be frozen, and then takes its time to say nothing.
    const inTurn = [...urls.slice(this.#next), ...urls.slice(0, this.#next)]
    for (const url of inTurn) {
      try {
        const link = await this.#connectTo(url)
        this.#next = urls.indexOf(url) + 1
        return link
      } catch (error) {
        failures.push(`${url.shown}: ${explain(error)}`)
      }
    }
    throw new BrokerUnavailable(failures.join('; '))
  }

  async #connectTo(url: AmqpUrl): Promise<Link> {
    const { heartbeatSeconds, name } = this.#settings
    const socket: SocketOptions = {
      noDelay: true,
      timeout: connectTimeoutMs,
      clientProperties: { product: 'filo', connection_name: name },
    }
    const { ca, cert, key } = this.#settings.tls?.current ?? {}
    const model = await connect(
      { ...url.connect, frameMax, heartbeat: heartbeatSeconds },
      {
        ...socket,
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert, key }),
        // A certificate is who we are where the URL has no user: RabbitMQ's plugin rabbitmq_auth_mechanism_ssl.
        ...(cert !== undefined &&
          url.connect.username === undefined && { credentials: credentials.external() }),
      },
    )
    const link = this.#watch(model)
    const giveUp = (): void => link.fail('it could not be set up in time')
    const timer = setTimeout(giveUp, setUpTimeoutMs)
    this.#closing.signal.addEventListener('abort', giveUp)
    try {
      const session = await Promise.race([this.#setUp(link), rejectWhenLost(link)])
      this.#closing.signal.throwIfAborted()
      this.#arrive(link, session)
      return link
    } catch (error) {
      link.fail('it could not be set up')
      throw error
    } finally {
      clearTimeout(timer)
      this.#closing.signal.removeEventListener('abort', giveUp)
    }
  }

  /** Without a turn of the event loop in between: who waited sends before whoever comes next. */
  #arrive(link: Link, session: Session): void {
    this.#link = link
    this.#current = session
    for (const waiter of this.#waiters) waiter.resolve(session)
  }

  #watch(model: ChannelModel): Link {
    const { promise: lost, resolve } = Promise.withResolvers<string>()
    const end = (reason: string): void => {
      // At once, not when `lost` is noticed: nobody may be given the session of a connection that is gone.
      if (this.#link?.model === model) this.#link = this.#current = undefined
      // amqplib only ends its own side, which would leave a socket open to a broker that is frozen. With an
      // error, so that amqplib itself learns of it, where it does not know yet.
      streamOf(model).destroy(new Error(reason))
      resolve(reason)
    }
    let cause: unknown
    model.on('error', (error) => (cause = error))
    model.on('close', (error) => end(explain(error ?? cause ?? new Error('closed by the broker'))))
    model.on('blocked', (reason) => this.#report({ kind: 'blocked', reason }))
    model.on('unblocked', () => this.#report({ kind: 'connected' }))
    return {
      model,
      lost,
      fail: (reason) => end(cause === undefined ? reason : explain(cause)),
      gather: gatherer(streamOf(model)),
    }
  }
}

/** amqplib hands each message to the socket by itself, and each would be a system call and a packet. */
function gatherer(stream: Duplex): () => void {
  let isGathering = false
  return () => {
    if (isGathering) return
    isGathering = true
    stream.cork()
    // amqplib writes in the turn after that of the call.
    setImmediate(() =>
      setImmediate(() => {
        isGathering = false
        stream.uncork()
      }),
    )
  }
}

async function rejectWhenLost(link: Link): Promise<never> {
  throw new Error(await link.lost)
}

export function streamOf(model: Pick<ChannelModel, 'connection'>): Duplex {
  return (model.connection as unknown as { stream: Duplex }).stream
}

/** Makes the end of a channel the end of its connection (C2). */
export function failWith(link: Link, channel: Channel): void {
  let reason = 'a channel was closed'
  channel.on('error', (error) => (reason = explain(error)))
  // A connection that ends closes its channels first, and says why only then.
  channel.on('close', () => queueMicrotask(() => link.fail(reason)))
}
