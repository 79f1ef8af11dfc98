import type { AuditEvent } from '@filo/protocol'
import type { Sink } from '../sinks/sink.ts'
import type { PlaceChange, Places } from './places.ts'

/** Entries that are known again when they are delivered twice. */
const remembered = 20_000

/** Entries on their way to where they are kept, one after the other. */
export class Lane {
  /** Resolves when the last of them has been kept; never rejects. */
  kept: Promise<void> = Promise.resolve()
}

/** What came of an entry: the change of the consumer's places, and who waits to hear that it is kept. */
interface Upshot {
  readonly change?: PlaceChange
  readonly acknowledge?: () => void
}

// F1. What is acknowledged has been kept, and the place that tells so is written; in the order in which a lane's entries came.

/** Has entries kept, and then writes that down. */
export class Keeper {
  readonly #places: Places
  readonly #sink: Sink
  readonly #wants: (event: AuditEvent) => boolean
  readonly #onLost: (error: unknown) => void
  readonly #recent = new Set<string>()
  #upshots: Upshot[] = []
  #writing: Promise<void> | undefined
  #lost: { readonly error: unknown } | undefined

  /**
   * @param wants which entries are kept; the others only count
   * @param onLost called once, when nothing can be kept any more
   */
  constructor(
    places: Places,
    sink: Sink,
    wants: (event: AuditEvent) => boolean,
    onLost: (error: unknown) => void,
  ) {
    this.#places = places
    this.#sink = sink
    this.#wants = wants
    this.#onLost = onLost
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** Whether this very entry was handed on lately. */
  hasHad({ hash }: AuditEvent): boolean {
    return this.#recent.has(hash)
  }

  keep(lane: Lane, event: AuditEvent, upshot: Upshot): void {
    const kept = this.#wants(event) ? this.#sink.keep(event) : Promise.resolve()
    // It may fail before its turn comes.
    kept.catch(() => {})
    this.#remember(event)
    lane.kept = lane.kept
      .then(() => kept)
      .then(() => this.write(upshot))
      .catch((error: unknown) => this.lose(error))
  }

  /** Acknowledges what was kept before, once that is so. */
  acknowledge(lane: Lane, acknowledge: () => void): void {
    lane.kept = lane.kept.then(() => this.write({ acknowledge }))
  }

  /** What is written at about the same time is written together. */
  write(upshot: Upshot): void {
    if (this.isLost) return
    this.#upshots.push(upshot)
    this.#writing ??= new Promise((resolve) => setImmediate(resolve))
      .then(() => this.#write())
      .catch((error: unknown) => this.lose(error))
  }

  /** Nothing is kept from now on; what is not acknowledged comes again. */
  lose(error: unknown): void {
    if (this.isLost) return
    this.#lost = { error }
    this.#onLost(error)
  }

  /** Resolves when all is written. Throws why nothing could be kept any more. */
  async settle(): Promise<void> {
    await this.#writing
    if (this.#lost !== undefined) throw this.#lost.error
  }

  #write(): void {
    const upshots = this.#upshots
    this.#upshots = []
    this.#writing = undefined
    const changes = upshots.flatMap(({ change }) => change ?? [])
    if (changes.length > 0) this.#places.note(changes)
    for (const { acknowledge } of upshots) acknowledge?.()
  }

  #remember({ hash }: AuditEvent): void {
    this.#recent.add(hash)
    if (this.#recent.size <= remembered) return
    const [oldest] = this.#recent
    this.#recent.delete(oldest!)
  }
}
