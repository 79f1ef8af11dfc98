/** Chance that can be repeated: the same seed gives the same throws (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** Dice of its own, so that what one part of the world throws does not move what another part gets. */
  fork(): Dice {
    return new Dice(this.#bits())
  }

  /** At least 0, less than 1. */
  fraction(): number {
    return this.#bits() / 0x1_0000_0000
  }

  happens(chance: number): boolean {
    return this.fraction() < chance
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1))
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.between(0, items.length - 1)]!
  }

  /** Named by the shares that they have of one throw; what the shares leave over is the first. */
  weigh<Name extends string>(shares: readonly (readonly [Name, number])[]): Name {
    let left = this.fraction()
    for (const [name, share] of shares) {
      left -= share
      if (left < 0) return name
    }
    return shares[0]![0]
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    for (let at = 0; at < count; at += 1) bytes[at] = this.#bits() >>> 24
    return bytes
  }

  /** A UUID (version 4). */
  id(): string {
    const hex = [this.#bits(), this.#bits(), this.#bits(), this.#bits()]
      .map((bits) => bits.toString(16).padStart(8, '0'))
      .join('')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
  }

  #bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}
