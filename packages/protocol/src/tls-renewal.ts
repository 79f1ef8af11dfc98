import { setTimeout as delay } from 'node:timers/promises'
import { expiresSoon, readTls, TlsUnusable, type TlsFiles, type TlsMaterial } from './tls-files.ts'
import type { TransportStatus } from './transport.ts'
import { briefly } from './waiting.ts'

// T2. Whoever renews certificates has nothing to restart or to signal: the files are looked at while they are in use.
// T3. A connection that works is given up only for one that works: what is new is tried out at the broker first.
// T4. What cannot be used changes nothing, and is told once. It is looked at again all the same.

const lookMs = 5000
/** What a broker did not take may be taken later: it has been told of a new authority meanwhile. */
const tryAgainMs = 30_000
const warnDays = 14
const warnAgainMs = 24 * 3_600_000

/** What connections are made with. */
export interface Tls {
  readonly current: TlsMaterial
}

/** The connections of a transport, as far as their renewal is concerned. */
export interface Renewable {
  /** Whether they are there. If not, the next attempt takes what is new. */
  isUp(): boolean
  /** Makes a connection with this, and ends it. Throws BrokerUnavailable. */
  tryOut(material: TlsMaterial): Promise<void>
  /** Replaces all connections, in order; resolves when that is done. */
  renew(): Promise<void>
  report(status: TransportStatus): void
}

/** What a transport's connections are made with, kept as its files are. */
export class TlsRenewal implements Tls, AsyncDisposable {
  readonly #files: TlsFiles
  readonly #closing = new AbortController()
  #current: TlsMaterial
  #told = ''
  #refused: { readonly material: TlsMaterial; readonly atMs: number; readonly reason: string } | undefined
  #warnedAt = -Infinity
  #looking: Promise<void> = Promise.resolve()

  /** Throws TlsUnusable. */
  constructor(files: TlsFiles) {
    this.#files = files
    this.#current = readTls(files)
  }

  get current(): TlsMaterial {
    return this.#current
  }

  /** From now on the files are looked at until this is disposed. */
  keepFresh(connections: Renewable): void {
    this.#looking = this.#look(connections)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await briefly(this.#looking)
  }

  async #look(connections: Renewable): Promise<void> {
    const { signal } = this.#closing
    // Hosts whose certificates are replaced at one time do not all come at one time.
    const options = { signal, ref: false }
    await delay(Math.random() * lookMs, undefined, options).catch(() => {})
    while (!signal.aborted) {
      const reason = await this.#renew(connections)
      if (reason !== undefined && reason !== this.#told) connections.report({ kind: 'outdated', reason })
      this.#told = reason ?? ''
      this.#warn(connections)
      await delay(lookMs, undefined, options).catch(() => {})
    }
  }

  /** Why what is in the files is not what is used. */
  async #renew(connections: Renewable): Promise<string | undefined> {
    let seen: TlsMaterial
    try {
      seen = readTls(this.#files)
    } catch (error) {
      if (!(error instanceof TlsUnusable)) throw error
      return error.message
    }
    if (isSame(seen, this.#current)) return undefined
    if (!connections.isUp()) {
      this.#current = seen
      return undefined
    }
    const before = this.#refused
    if (
      before !== undefined &&
      isSame(before.material, seen) &&
      performance.now() < before.atMs + tryAgainMs
    ) {
      return before.reason
    }
    try {
      await connections.tryOut(seen)
    } catch (error) {
      const reason = `with what is new in its files the broker cannot be had: ${(error as Error).message}`
      this.#refused = { material: seen, atMs: performance.now(), reason }
      return reason
    }
    this.#current = seen
    this.#refused = undefined
    await connections.renew()
    connections.report({ kind: 'renewed' })
    return undefined
  }

  #warn(connections: Renewable): void {
    const { expiring } = this.#current
    const reason = expiring && expiresSoon(expiring, warnDays)
    if (reason === undefined || performance.now() < this.#warnedAt + warnAgainMs) return
    this.#warnedAt = performance.now()
    connections.report({ kind: 'expiring', reason })
  }
}

function isSame(one: TlsMaterial, other: TlsMaterial): boolean {
  return one.ca === other.ca && one.cert === other.cert && one.key === other.key
}
