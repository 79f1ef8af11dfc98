import type { Entry } from './stored-entry.ts'

/** Where an entry stands. */
interface Standing {
  readonly document: string
  readonly place: string
}

/** An entry that is missing, or does not follow the one before, found at the next one that is there. */
interface LateFault extends Standing {
  readonly source: string
  readonly sequence: number
  readonly why: string
}

/** The entries of consumers' files in which some may stand later than those after them. */
export class LateEntries {
  readonly #bySource = new Map<string, Map<number, Entry & Standing>>()

  put(entry: Entry, standing: Standing): void {
    let entries = this.#bySource.get(entry.source)
    if (entries === undefined) this.#bySource.set(entry.source, (entries = new Map()))
    if (!entries.has(entry.sequence)) entries.set(entry.sequence, { ...entry, ...standing })
  }

  /** What is wrong with each source's entries in the order of their numbers. */
  *faults(): Generator<LateFault> {
    for (const [source, entries] of this.#bySource) {
      const [first, ...rest] = [...entries.values()].toSorted((a, b) => a.sequence - b.sequence)
      let before = first!
      for (const entry of rest) {
        const { document, place } = entry
        const missing = before.sequence + 1
        if (entry.sequence > missing) {
          const why = `is missing: there is nothing between number ${before.sequence} and number ${entry.sequence}`
          yield { source, document, place, sequence: missing, why }
        } else if (entry.previoushash !== before.hash) {
          const why = `does not follow number ${before.sequence} (${before.document}, ${before.place})`
          yield { source, document, place, sequence: entry.sequence, why }
        }
        before = entry
      }
    }
  }
}
