import { LateEntries } from './late-entries.ts'
import { readEntry, type Entry, type ReadEntry, type StoredEntry } from './stored-entry.ts'

// V1. Every entry is what was hashed, and follows the one before it, from the first on.
// V2. A chain that ends before an end that somebody else was told, or before a copy of it does, has lost its end.
// V3. Of two entries with the same source and number, one is not what its source wrote.

/**
 * What a consumer's file may be by right, and a chain never is: one that begins after its source's first entry; one
 * whose consumer selected among the entries; one with entries that were delivered twice; one in which entries that were
 * missing came later than those after them.
 */
export type Allowance = 'beginning' | 'gaps' | 'late' | 'repeats'

/** Something that holds entries, each source's in order. */
export interface AuditDocument {
  readonly name: string
  /** `chain`: where its source itself keeps it. `copy`: what a consumer has written down. */
  readonly kind: 'chain' | 'copy'
  readonly entries: Iterable<StoredEntry>
}

/** What is not as its source wrote it, and where. */
export interface AuditFault {
  readonly document: string
  readonly place: string
  /** Absent where not even that can be read. */
  readonly source?: string
  /** The number of the first entry that is wrong, or that is missing. */
  readonly sequence?: number
  /** Follows the entry as a subject: `is not what was hashed`. */
  readonly why: string
}

/** The entries of one source in one document. */
export interface CheckedChain {
  readonly document: string
  readonly source: string
  readonly first: number
  readonly last: number
  /** Entries that came again, exactly as before. */
  readonly repeats: number
  readonly isIntact: boolean
}

export interface TrailVerdict {
  readonly chains: readonly CheckedChain[]
  readonly faults: readonly AuditFault[]
}

interface Segment {
  readonly document: string
  readonly kind: AuditDocument['kind']
  readonly source: string
  first: Entry
  firstPlace: string
  last: Entry
  lastPlace: string
  repeats: number
  isIntact: boolean
}

/** An end of a chain that another chain has kept. */
interface KeptHead {
  readonly source: string
  readonly sequence: number
  readonly hash: string
  readonly by: string
}

/** Entries of which a consumer was told that it lacks them. */
interface Lack {
  readonly source: string
  readonly first: number
  readonly last: number
  readonly reason: string
  readonly by: string
}

interface Known {
  readonly hash: string
  readonly document: string
  readonly place: string
}

/** Checks audit chains offline: each document by itself, then against what the others say. */
export class AuditTrail {
  readonly #allowed: ReadonlySet<Allowance>
  readonly #documents: (Pick<AuditDocument, 'name' | 'kind'> & { readonly isEmpty: boolean })[] = []
  readonly #segments: Segment[] = []
  readonly #faults: AuditFault[] = []
  readonly #heads: KeptHead[] = []
  readonly #late = new LateEntries()
  readonly #lacks: Lack[] = []
  /** By source and number: the hash, and the document that had it first. */
  readonly #known = new Map<string, Map<number, Known>>()

  constructor(allowed: Iterable<Allowance> = []) {
    this.#allowed = new Set(allowed)
  }

  /** Reads a document to its end. Throws what its reading throws. */
  take({ name, kind, entries }: AuditDocument): void {
    const segments = new Map<string, Segment>()
    const document = { name, kind, isEmpty: true }
    this.#documents.push(document)
    for (const stored of entries) {
      document.isEmpty = false
      const read = readEntry(stored)
      const { place } = stored
      if (read.kind === 'bad') {
        const segment = read.source === undefined ? undefined : segments.get(read.source)
        if (segment === undefined) this.#faults.push({ document: name, place, ...claimsOf(read) })
        // The number that it says it has may be just what is wrong with it.
        else if (segment.isIntact) this.#fault(segment, segment.last.sequence + 1, place, read.why)
        continue
      }
      const { entry } = read
      const segment = segments.get(entry.source)
      if (segment === undefined) {
        const begun = {
          document: name,
          kind,
          source: entry.source,
          first: entry,
          firstPlace: place,
          last: entry,
          lastPlace: place,
          repeats: 0,
          isIntact: true,
        }
        segments.set(entry.source, begun)
        this.#segments.push(begun)
        this.#note(begun, entry, place)
      } else if (segment.isIntact) this.#follow(segment, entry, place)
      if (this.#allows({ kind }, 'late')) this.#late.put(entry, { document: name, place })
      if (entry.lack !== undefined)
        this.#lacks.push({ ...entry.lack, by: `${entry.source} at its number ${entry.sequence}` })
    }
  }

  /** What all documents come to, once each has been taken. */
  conclude(): TrailVerdict {
    if (this.#allowed.has('late')) this.#checkLate()
    for (const segment of this.#segments) {
      this.#checkBeginning(segment)
      const agreed = segment.isIntact ? this.#checkHeads(segment) : 0
      if (segment.isIntact) this.#checkEnd(segment, agreed)
    }
    this.#checkAbsent('copy')
    this.#checkAbsent('chain')
    const chains = this.#segments.map(({ document, source, first, last, repeats, isIntact }) => ({
      document,
      source,
      first: first.sequence,
      last: last.sequence,
      repeats,
      isIntact,
    }))
    return { chains, faults: this.#faults.map((fault) => this.#explained(fault)) }
  }

  #follow(segment: Segment, entry: Entry, place: string): void {
    const { last } = segment
    const expected = last.sequence + 1
    if (this.#allows(segment, 'late')) return this.#takeInAnyOrder(segment, entry, place)
    if (entry.sequence <= last.sequence) return this.#comeAgain(segment, entry, place)
    if (entry.sequence > expected && !this.#allows(segment, 'gaps')) {
      const missing = rangeOf(expected, entry.sequence - 1)
      return this.#fault(
        segment,
        expected,
        place,
        `is missing: number ${entry.sequence} stands where ${missing} should`,
      )
    }
    if (entry.sequence === expected && entry.previoushash !== last.hash) {
      return this.#fault(
        segment,
        entry.sequence,
        place,
        `does not follow number ${last.sequence} (${segment.lastPlace})`,
      )
    }
    segment.last = entry
    segment.lastPlace = place
    this.#note(segment, entry, place)
  }

  #comeAgain(segment: Segment, entry: Entry, place: string): void {
    const known = this.#known.get(entry.source)?.get(entry.sequence)
    if (known === undefined)
      return this.#fault(segment, entry.sequence, place, `comes after number ${segment.last.sequence}`)
    if (known.hash !== entry.hash) {
      return this.#fault(segment, entry.sequence, place, `is another one than that in ${known.document}`)
    }
    segment.repeats += 1
    if (!this.#allows(segment, 'repeats')) {
      this.#fault(segment, entry.sequence, place, `comes again after number ${segment.last.sequence}`)
    }
  }

  /** Whether all are there, and each follows the one before, is seen once all documents have been taken. */
  #takeInAnyOrder(segment: Segment, entry: Entry, place: string): void {
    if (this.#known.get(entry.source)?.get(entry.sequence)?.document === segment.document) {
      return this.#comeAgain(segment, entry, place)
    }
    if (entry.sequence < segment.first.sequence) [segment.first, segment.firstPlace] = [entry, place]
    if (entry.sequence > segment.last.sequence) [segment.last, segment.lastPlace] = [entry, place]
    this.#note(segment, entry, place)
  }

  /** V1, of copies whose entries may stand in any order: in the order of their numbers. */
  #checkLate(): void {
    for (const { source, sequence, document, place, why } of this.#late.faults()) {
      const segment = this.#segments.find((one) => one.source === source && one.document === document)
      if (segment?.isIntact) this.#fault(segment, sequence, place, why)
    }
  }

  /** With what its consumer itself has told of it. */
  #explained(fault: AuditFault): AuditFault {
    const { source, sequence = 0 } = fault
    const lack = this.#lacks.find(
      (one) => one.source === source && one.first <= sequence && sequence <= one.last,
    )
    if (lack === undefined || !fault.why.startsWith('is missing')) return fault
    return { ...fault, why: `${fault.why}. It was told to be missing by ${lack.by}: ${lack.reason}` }
  }

  /** V3. */
  #note(segment: Segment, { source, sequence, hash, heads }: Entry, place: string): void {
    let known = this.#known.get(source)
    if (known === undefined) this.#known.set(source, (known = new Map()))
    const other = known.get(sequence)
    if (other === undefined) known.set(sequence, { hash, document: segment.document, place })
    else if (other.hash !== hash) {
      return this.#fault(segment, sequence, place, `is another one than that in ${other.document}`)
    }
    for (const head of heads) {
      this.#heads.push({ ...head, by: `${source} at its number ${sequence} (${segment.document}, ${place})` })
    }
  }

  /** V1. One that is broken further on may have lost its beginning too, which comes first. */
  #checkBeginning(segment: Segment): void {
    const { source, document, first, firstPlace } = segment
    const { sequence, previoushash } = first
    const found = (at: number, why: string): void => {
      const later = this.#faults.findIndex((fault) => fault.document === document && fault.source === source)
      const fault = { document, place: firstPlace, source, sequence: at, why }
      this.#faults.splice(later === -1 ? this.#faults.length : later, 0, fault)
      segment.isIntact = false
    }
    if (this.#isPart(segment, (other) => other.first.sequence < sequence)) return
    if (sequence === 1) {
      if (!/^0+$/.test(previoushash)) found(1, 'is not the beginning of a chain')
    } else if (this.#isRepeated(segment) || this.#segments.some((other) => isContinuedBy(other, segment))) {
      const before = this.#known.get(source)!.get(sequence - 1)
      if (before === undefined || before.hash === previoushash) return
      found(sequence, `does not follow number ${sequence - 1} in ${before.document}`)
    } else if (!this.#allows(segment, 'beginning') && !this.#allows(segment, 'gaps')) {
      found(1, `is missing: number ${sequence} stands where ${rangeOf(1, sequence - 1)} should`)
    }
  }

  /** V2, V3: what others were told of the chain is in it. Gives the furthest entry of which they know it. */
  #checkHeads(segment: Segment): number {
    const told = this.#heads
      .filter(({ source }) => source === segment.source)
      .toSorted((a, b) => a.sequence - b.sequence)
    const elsewhere = this.#segments
      .filter(({ source }) => source === segment.source)
      .filter((other) => other !== segment)
    let agreed = Math.min(segment.last.sequence, Math.max(0, ...elsewhere.map(({ last }) => last.sequence)))
    for (const { sequence, hash, by } of told) {
      const known = this.#known.get(segment.source)!.get(sequence)
      if (known?.document !== segment.document) continue
      if (known.hash !== hash) {
        const why = `is not the one that was told to ${by}: it was written anew${sinceWords(agreed)}`
        this.#fault(segment, sequence, known.place, why)
        break
      }
      agreed = Math.max(agreed, sequence)
    }
    return agreed
  }

  /** V2. @param agreed the furthest entry that others confirm. */
  #checkEnd(segment: Segment, agreed: number): void {
    if (this.#allows(segment, 'gaps')) return
    if (this.#isRepeated(segment) || this.#segments.some((other) => isContinuedBy(segment, other))) return
    if (this.#isPart(segment, (other) => other.last.sequence > segment.last.sequence)) return
    const { source, last, lastPlace } = segment
    const ends = [
      ...this.#heads
        .filter((head) => head.source === source)
        .map(({ sequence, by }) => ({ sequence, words: `number ${sequence} was told to ${by}` })),
      ...this.#segments
        .filter((other) => other.source === source)
        .map((other) => ({
          sequence: other.last.sequence,
          words: `number ${other.last.sequence} is in ${other.document}`,
        })),
    ]
    const furthest = ends.reduce((most, end) => (end.sequence > most.sequence ? end : most))
    if (furthest.sequence <= last.sequence) return
    const late = segment.kind === 'copy' ? ', or has not been delivered yet' : ''
    const doubt = agreed < last.sequence ? `; what is left may be written anew${sinceWords(agreed)}` : ''
    const why = `is missing: ${furthest.words}. The end was cut off${late}${doubt}`
    this.#fault(segment, last.sequence + 1, `after ${lastPlace}`, why)
  }

  /** V2, of what has lost all that there was of a source. */
  #checkAbsent(kind: AuditDocument['kind']): void {
    const documents = this.#documents.filter((document) => document.kind === kind)
    const bare = kind === 'copy' ? documents[0] : documents.find(({ isEmpty }) => isEmpty)
    if (bare === undefined || (kind === 'copy' && this.#allowed.has('gaps'))) return
    const present = new Set(this.#segments.filter((one) => one.kind === kind).map(({ source }) => source))
    const told = new Map(this.#heads.map(({ source, by }) => [source, `it was told to ${by}`]))
    for (const { source, document } of this.#segments) told.set(source, `it is in ${document}`)
    for (const [source, words] of told) {
      if (present.has(source)) continue
      this.#faults.push({
        document: bare.name,
        place: 'all of it',
        source,
        sequence: 1,
        why: `is missing: ${words}, and there is nothing of it here`,
      })
    }
  }

  /** Whether another file has more of what may stand in any order: then there is nothing at this end to check. */
  #isPart(segment: Segment, hasMore: (other: Segment) => boolean): boolean {
    if (!this.#allows(segment, 'late')) return false
    return this.#segments.some(
      (other) => other.kind === 'copy' && other.source === segment.source && hasMore(other),
    )
  }

  /**
   * Whether all of it came again: of a consumer that was killed the last entries may stand in the next file too. Of two
   * that hold the same it is the later.
   */
  #isRepeated(segment: Segment): boolean {
    if (!this.#allows(segment, 'repeats')) return false
    const { source, first, last } = segment
    return this.#segments.some((other, at) => {
      if (other.kind !== 'copy' || other.source !== source) return false
      const [before, after] = [first.sequence - other.first.sequence, other.last.sequence - last.sequence]
      const isSame = before === 0 && after === 0
      return before >= 0 && after >= 0 && (!isSame || at < this.#segments.indexOf(segment))
    })
  }

  #allows(segment: Pick<Segment, 'kind'>, allowance: Allowance): boolean {
    return segment.kind === 'copy' && this.#allowed.has(allowance)
  }

  #fault(segment: Segment, sequence: number, place: string, why: string): void {
    segment.isIntact = false
    this.#faults.push({ document: segment.document, place, source: segment.source, sequence, why })
  }
}

function claimsOf({ why, source, sequence }: Extract<ReadEntry, { kind: 'bad' }>) {
  return { ...(source !== undefined && { source }), ...(sequence !== undefined && { sequence }), why }
}

/** Whether one file of a consumer goes on in another, as when they are rotated. */
function isContinuedBy(one: Segment, other: Segment): boolean {
  return (
    one.kind === 'copy' &&
    other.kind === 'copy' &&
    one.source === other.source &&
    other.first.sequence > one.first.sequence &&
    other.first.sequence <= one.last.sequence + 1 &&
    other.last.sequence > one.last.sequence
  )
}

function sinceWords(agreed: number): string {
  return agreed === 0 ? '' : ` after number ${agreed}, which others know as it is here`
}

function rangeOf(first: number, last: number): string {
  return first === last ? `number ${first}` : `numbers ${first} to ${last}`
}
