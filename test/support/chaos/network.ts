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
import type { Dice } from './dice.ts'
import type { Life, VirtualTime } from './virtual-time.ts'

/** Chances, each of one message. */
export interface Weather {
  readonly lost: number
  readonly repeated: number
  /** Takes seconds rather than milliseconds. */
  readonly delayed: number
  /** The sender is not told whether it was delivered. */
  readonly ambiguous: number
}

export const fairWeather: Weather = { lost: 0, repeated: 0, delayed: 0, ambiguous: 0 }

/** How late a copy of a message may still arrive, milliseconds: long after a beacon has expired. */
const latestMs = 90_000

/** A broker that loses, repeats, delays and reorders; what it is doing to messages is decided by dice. */
export class Network {
  weather: Weather = fairWeather
  readonly #time: VirtualTime
  readonly #dice: Dice
  readonly #boxes = new Map<
    string,
    { readonly life: Life; readonly receive: (message: Uint8Array) => void }
  >()
  #downUntilMs = 0

  constructor(time: VirtualTime, dice: Dice) {
    this.#time = time
    this.#dice = dice
  }

  /** Nobody reaches the broker for a while. */
  fail(ms: number): void {
    this.#downUntilMs = Math.max(this.#downUntilMs, this.#time.nowMs + ms)
  }

  mend(): void {
    this.#downUntilMs = 0
    this.weather = fairWeather
  }

  connect(life: Life): Transport {
    return {
      open: async (address, receive) => this.#open(life, address, receive),
      send: (to, message) => life.during(this.#send(life, to, message)),
      publish: async () => {},
      subscribe: () => Promise.reject(new BrokerUnavailable('this network keeps no events')),
      onStatus: () => {},
      peer: () => undefined,
      [Symbol.asyncDispose]: async () => {},
    }
  }

  #open(life: Life, address: Address, receive: (message: Uint8Array) => void): Mailbox {
    const name = addressName(address)
    const before = this.#boxes.get(name)
    if (before !== undefined && !before.life.isOver) throw new AddressInUse(name)
    this.#boxes.set(name, { life, receive })
    return {
      address,
      [Symbol.asyncDispose]: async () => {
        if (this.#boxes.get(name)?.life === life) this.#boxes.delete(name)
      },
    }
  }

  async #send(life: Life, to: Address, message: Uint8Array): Promise<void> {
    if (life.isOver) return
    if (this.#time.nowMs < this.#downUntilMs) throw new BrokerUnavailable('the broker is away')
    const name = addressName(to)
    if (!this.#boxes.has(name)) throw new NobodyThere(`nobody receives at ${name}`)
    const { lost, repeated, delayed, ambiguous } = this.weather
    if (!this.#dice.happens(lost)) {
      this.#deliverAfter(
        this.#dice.happens(delayed) ? this.#dice.pick([50, 1000, 5000, 40_000]) : 2,
        name,
        message,
      )
    }
    while (this.#dice.happens(repeated)) this.#deliverAfter(this.#dice.between(1, latestMs), name, message)
    if (this.#dice.happens(ambiguous)) throw new Ambiguous('the broker did not say')
  }

  #deliverAfter(ms: number, name: string, message: Uint8Array): void {
    this.#time.after(ms, () => {
      const box = this.#boxes.get(name)
      if (box !== undefined && !box.life.isOver) box.receive(message)
    })
  }
}
