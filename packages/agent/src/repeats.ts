/** Commands that are remembered (R13): as many as a broker could still be holding of an hour's work. */
const remembered = 4096

/** Which commands have been heard before. Each is made once by its coordinator: a second copy is the broker's doing. */
export class Repeats {
  readonly #heard = new Set<string>()

  /** Whether it was heard before; from now on it was. */
  hear(hash: string): boolean {
    if (this.#heard.has(hash)) return true
    this.#heard.add(hash)
    if (this.#heard.size > remembered) this.#heard.delete(this.#heard.values().next().value!)
    return false
  }
}
