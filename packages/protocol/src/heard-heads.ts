import type { AuditHead, SourceHead } from './audit-event.ts'

/** Sources that are remembered (R13): hosts of a fleet, or coordinators that an agent obeys. */
const rememberedSources = 10_000

interface Heard {
  readonly head: SourceHead
  /** The event of this chain that keeps it, if its transaction was committed. */
  keptAt: AuditHead | undefined
}

/** The ends of other sources' chains, as they were last heard, until an event keeps them. */
export class HeardHeads {
  readonly #hashAt: (sequence: number) => string | undefined
  readonly #bySource = new Map<string, Heard>()
  /** Those that no event keeps, or one that may have been rolled back. */
  readonly #open = new Map<string, Heard>()

  /** @param hashAt the hash of an event of this chain; undefined for one that is not there. */
  constructor(hashAt: (sequence: number) => string | undefined) {
    this.#hashAt = hashAt
  }

  hear(head: SourceHead): void {
    const known = this.#bySource.get(head.source)
    // Messages overtake each other. A chain that began anew is told from the old one by whoever verifies both.
    if (head.sequence <= (known?.head.sequence ?? 0)) return
    const heard = { head, keptAt: undefined }
    this.#bySource.set(head.source, heard)
    this.#open.set(head.source, heard)
    if (this.#bySource.size <= rememberedSources) return
    const [oldest] = this.#bySource.keys()
    this.#bySource.delete(oldest!)
    this.#open.delete(oldest!)
  }

  /** What no event keeps yet, the longest heard first. */
  due(): SourceHead[] {
    for (const [source, { keptAt }] of this.#open) {
      const isKept = keptAt !== undefined && this.#hashAt(keptAt.sequence) === keptAt.hash
      if (isKept) this.#open.delete(source)
    }
    return [...this.#open.values()].map(({ head }) => head)
  }

  /** Notes that these stand in an event whose transaction is still open. */
  kept(heads: readonly SourceHead[], at: AuditHead): void {
    for (const { source } of heads) this.#open.get(source)!.keptAt = at
  }
}
