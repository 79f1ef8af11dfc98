import {
  addressName,
  AddressInUse,
  Ambiguous,
  BrokerUnavailable,
  NobodyThere,
  type Address,
  type Mailbox,
  type Transport,
} from '@filo/protocol'
import type { Dice } from '../../support/dice.ts'
import { readFrame, type Frame } from './frame.ts'
import type { Process } from './process.ts'
import type { Time } from './time.ts'

/** What may become of a message. */
export type Mishap = 'lost' | 'repeated' | 'late' | 'hours late' | 'in doubt'

/** Chances, each of one message. */
export type Weather = Readonly<Record<Mishap, number>>

export const fairWeather: Weather = { lost: 0, repeated: 0, late: 0, 'hours late': 0, 'in doubt': 0 }

/** Who hears of what goes by. */
export interface NetworkWatcher {
  onSent(frame: Frame): void
  onDelivered(frame: Frame, to: Process): void
  onMishap(mishap: Mishap, host: string): void
}

/** How many messages are kept to be delivered again by whoever has the broker. */
const keptFrames = 200

/** A broker that loses, repeats, delays and reorders; what it does to a message is decided by dice. */
export class Network {
  weather: Weather = fairWeather
  /** Every message so far, the newest last; bounded. */
  readonly frames: Frame[] = []
  readonly #time: Time
  readonly #dice: Dice
  readonly #watcher: NetworkWatcher
  readonly #boxes = new Map<
    string,
    { readonly process: Process; readonly receive: (message: Uint8Array) => void }
  >()
  /** What befalls the next messages from or to a host. */
  readonly #next = new Map<string, Mishap[]>()
  readonly #cutOffUntilMs = new Map<string, number>()
  #downUntilMs = 0

  constructor(time: Time, dice: Dice, watcher: NetworkWatcher) {
    this.#time = time
    this.#dice = dice
    this.#watcher = watcher
  }

  /** Nobody reaches the broker for a while. */
  fail(ms: number): void {
    this.#downUntilMs = Math.max(this.#downUntilMs, this.#time.nowMs + ms)
  }

  /** A host does not reach the broker for a while: what is sent to it is lost, and it can send nothing. */
  cutOff(host: string, ms: number): void {
    this.#cutOffUntilMs.set(host, this.#time.nowMs + ms)
  }

  /** Something befalls the next message from or to a host. */
  strikeNext(host: string, mishap: Mishap): void {
    this.#next.set(host, [...(this.#next.get(host) ?? []), mishap])
  }

  mend(): void {
    this.#downUntilMs = 0
    this.#cutOffUntilMs.clear()
    this.#next.clear()
    this.weather = fairWeather
  }

  connect(process: Process): Transport {
    return {
      open: async (address, receive) => this.#open(process, address, receive),
      send: (to, message) => process.during(this.#send(process, to, message)),
      publish: async () => {},
      subscribe: () => Promise.reject(new BrokerUnavailable('this network keeps no events')),
      onStatus: () => {},
      peer: () => undefined,
      weaknesses: async () => [],
      [Symbol.asyncDispose]: async () => {},
    }
  }

  /** Delivers a message that was sent before, or that somebody made up. */
  inject(frame: Frame, afterMs: number): void {
    this.#deliverAfter(afterMs, frame)
  }

  #open(process: Process, address: Address, receive: (message: Uint8Array) => void): Mailbox {
    const name = addressName(address)
    const before = this.#boxes.get(name)
    if (before !== undefined && !before.process.isOver) throw new AddressInUse(name)
    this.#boxes.set(name, { process, receive })
    return {
      address,
      [Symbol.asyncDispose]: async () => {
        if (this.#boxes.get(name)?.process === process) this.#boxes.delete(name)
      },
    }
  }

  async #send(process: Process, to: Address, message: Uint8Array): Promise<void> {
    if (!process.reaches('send-before')) return
    const sent = Promise.withResolvers<void>()
    process.cross(() => {
      try {
        this.#accept(process, to, message)
        sent.resolve()
      } catch (error) {
        sent.reject(error)
      }
      process.reaches('send-after')
    })
    await sent.promise
  }

  /** Throws what the broker answers, if it is not yes. */
  #accept(process: Process, to: Address, message: Uint8Array): void {
    const frame = readFrame(process, to, message, process.nowMs)
    this.#watcher.onSent(frame)
    if (this.#time.nowMs < this.#downUntilMs || (frame.isAnswer && this.#isCutOff(frame.host))) {
      throw new BrokerUnavailable('the broker is away')
    }
    if (!this.#boxes.has(frame.to)) throw new NobodyThere(`nobody receives at ${frame.to}`)
    this.frames.push(frame)
    if (this.frames.length > keptFrames) this.frames.shift()
    const befalls = this.#mishapOf(frame)
    if (befalls !== undefined) this.#watcher.onMishap(befalls, frame.host)
    if (befalls !== 'lost' && !(befalls === 'in doubt' && this.#dice.happens(0.5))) {
      this.#deliverAfter(this.#delayMs(befalls), frame)
    }
    if (befalls === 'repeated') this.#repeat(frame)
    if (befalls === 'in doubt') throw new Ambiguous('the broker did not say')
  }

  #repeat(frame: Frame): void {
    do this.#deliverAfter(this.#dice.pick([1, 100, 5000, 40_000, 90_000]), frame)
    while (this.#dice.happens(0.6))
  }

  #mishapOf(frame: Frame): Mishap | undefined {
    const next = this.#next.get(frame.host)?.shift()
    if (next !== undefined) return next
    let left = this.#dice.fraction()
    for (const [mishap, chance] of Object.entries(this.weather) as [Mishap, number][]) {
      left -= chance
      if (left < 0) return mishap
    }
    return undefined
  }

  #delayMs(mishap: Mishap | undefined): number {
    if (mishap === 'late') return this.#dice.pick([50, 1000, 5000, 15_000, 40_000])
    if (mishap === 'hours late') return this.#dice.between(1, 10) * 3_600_000
    return this.#dice.happens(0.1) ? this.#dice.between(1, 30) : 2
  }

  #isCutOff(host: string): boolean {
    return this.#time.nowMs < (this.#cutOffUntilMs.get(host) ?? 0)
  }

  #deliverAfter(ms: number, frame: Frame): void {
    this.#time.after(ms, () => {
      if (!frame.isAnswer && this.#isCutOff(frame.host)) return
      const box = this.#boxes.get(frame.to)
      box?.process.cross(() => {
        this.#watcher.onDelivered(frame, box.process)
        box.receive(frame.bytes)
      })
    })
  }
}
