import {
  cut,
  digest,
  type AuditDraft,
  type AuditEvent,
  type AuditHead,
  type Clock,
  type Delivery,
} from '@filo/protocol'
import { Lane, type Keeper } from './keeper.ts'
import type { Hole, Place, Places } from './places.ts'
import type { Sources } from './sources.ts'

// F2. A consumer gets the entries of each source in their order. Where one does not follow on the last, what is between them
//     is asked for from the source first; and what the source says counts only where it continues the chain.
// F3. A source that does not give them holds up nobody: the gap is told and kept in mind, what comes after it goes on, and
//     what is missing comes later.

/** How long what comes after a gap waits for it to be filled; the rest comes later (F3). Milliseconds. */
const fillMs = 60_000
/** A source that did not give its entries is left alone for so long; then for twice as long, and so on. Milliseconds. */
const firstPauseMs = 10_000
const longestPauseMs = 300_000
/** How often it is looked whether something is missing that no later entry shows. Milliseconds. */
const lookMs = 5000
/** For so long an entry that others were told of may still be on its way through the broker. Milliseconds. */
const onItsWayMs = 15_000

export interface FollowerWorld {
  readonly consumer: string
  readonly operator: string
  readonly places: Places
  readonly sources: Sources
  readonly keeper: Keeper
  readonly clock: Clock
  /** Tells a person. */
  readonly say: (words: string) => void
  /** Records what became of a gap. */
  readonly note: (draft: AuditDraft) => void
}

/** One source, as the consumer has it. */
class SourceLane extends Lane {
  readonly source: string
  place: Place | undefined
  /** What is done about its entries, one after the other. */
  work: Promise<void> = Promise.resolve()
  /** An end that others say that they were told, and since when that is known. */
  told: { readonly sequence: number; readonly sinceMs: number } | undefined
  /** What it said when it was asked in vain; it is asked again after a pause. */
  vain: { readonly answer: Vain; readonly untilMs: number; readonly pauseMs: number } | undefined

  constructor(source: string, place: Place | undefined) {
    super()
    this.source = source
    this.place = place
  }
}

/** `denied`: the source has no such entries, or others. */
interface Vain {
  readonly kind: 'silent' | 'denied'
  readonly reason: string
}
/** How far a gap was filled: up to the entry `end`. */
type Filled = ({ readonly kind: 'whole' } | Vain) & { readonly end: AuditHead }

/** Hands the trail on, each source's entries in order, and sees to it that none is missing. */
export class Follower implements AsyncDisposable {
  readonly #world: FollowerWorld
  readonly #lanes = new Map<string, SourceLane>()
  readonly #ending = new AbortController()
  readonly #looking: Promise<void>

  private constructor(world: FollowerWorld) {
    this.#world = world
    this.#looking = this.#look().catch((error: unknown) => world.keeper.lose(error))
  }

  /** To be opened before the consumer subscribes: for a new one the trail begins where its sources are now. */
  static async open(world: FollowerWorld): Promise<Follower> {
    const { sources, places } = world
    if (places.isNew) {
      const heads = await Promise.all(
        sources.names.map(async (source) => ({ source, head: await sources.head(source) })),
      )
      const known = heads.filter(({ head }) => head !== undefined)
      places.note(
        known.map(
          ({ source, head }) =>
            (writer) =>
              writer.put(source, { head: head!, first: undefined }),
        ),
      )
    }
    return new Follower(world)
  }

  /** Takes a delivery; it is acknowledged when it has been kept. */
  take({ event, acknowledge }: Delivery): void {
    const lane = this.#lane(event.source)
    this.#inTurn(lane, () => this.#receive(lane, event, acknowledge))
  }

  /** Ends once nothing is on its way any more; what was not kept comes again. Throws why nothing could be kept any more. */
  async drain(): Promise<void> {
    this.#ending.abort('the follower ends')
    await this.#world.sources.close()
    await this.#looking
    for (const lane of this.#lanes.values()) {
      await lane.work
      await lane.kept
    }
    await this.#world.keeper.settle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain().catch(() => {})
  }

  #lane(source: string): SourceLane {
    const known = this.#lanes.get(source)
    if (known !== undefined) return known
    const lane = new SourceLane(source, this.#world.places.of(source))
    this.#lanes.set(source, lane)
    return lane
  }

  #inTurn(lane: SourceLane, work: () => void | Promise<void>): void {
    const { keeper } = this.#world
    lane.work = lane.work
      .then(() => (keeper.isLost ? undefined : work()))
      .catch((error: unknown) => keeper.lose(error))
  }

  async #receive(lane: SourceLane, event: AuditEvent, acknowledge: () => void): Promise<void> {
    const { keeper } = this.#world
    if (keeper.hasHad(event)) return keeper.acknowledge(lane, acknowledge)
    // What somebody has made up is handed on for `filo audit verify` to find, and moves nothing here.
    if (!isGenuine(event)) return keeper.keep(lane, event, { acknowledge })
    this.#hearHeads(event)
    const { place } = lane
    const beginsAnew = place === undefined || (event.sequence === 1 && event.hash !== place.first)
    if (beginsAnew) return this.#keep(lane, event, acknowledge)
    if (event.sequence <= place.head.sequence) return keeper.keep(lane, event, { acknowledge })
    const filled = await this.#fillLane(lane, event.sequence - 1)
    if (this.#ending.signal.aborted) return
    if (filled.kind === 'silent') {
      const hole = { source: lane.source, after: filled.end, before: event }
      keeper.write({ change: (places) => places.lack(hole) })
    } else if (filled.kind === 'denied') return keeper.keep(lane, event, { acknowledge })
    else if (event.previoushash !== filled.end.hash) {
      this.#world.say(`number ${event.sequence} of ${lane.source} does not follow on the one before it`)
    }
    this.#keep(lane, event, acknowledge)
  }

  #keep(lane: SourceLane, event: AuditEvent, acknowledge?: () => void): void {
    const { sequence, hash } = event
    const place = { head: { sequence, hash }, first: sequence === 1 ? hash : lane.place?.first }
    lane.place = place
    const change = (places: { put(source: string, place: Place): void }): void =>
      places.put(lane.source, place)
    this.#world.keeper.keep(lane, event, { change, ...(acknowledge && { acknowledge }) })
  }

  /** Hands on what a source has between the consumer's place and another number (F2); tells what it does not give. */
  async #fillLane(lane: SourceLane, through: number): Promise<Filled> {
    const from = lane.place!.head
    if (from.sequence >= through) return { kind: 'whole', end: from }
    const isPausing = lane.vain !== undefined && this.#world.clock.now() < lane.vain.untilMs
    const filled = isPausing
      ? { ...lane.vain!.answer, end: from }
      : await this.#fill(lane, from, through, (event) => this.#keep(lane, event))
    if (this.#ending.signal.aborted) return filled
    const { end } = filled
    if (end.sequence > from.sequence) {
      this.#world.say(
        `${lane.source} told ${range(from.sequence + 1, end.sequence)} again, which did not come by the broker`,
      )
    }
    const isNews = filled.kind === 'silent' || (filled.kind === 'denied' && !isPausing)
    if (isNews) this.#tellMissing(lane, end.sequence + 1, through, filled)
    return filled
  }

  #tellMissing({ source }: SourceLane, first: number, last: number, { kind, reason }: Vain): void {
    const { consumer, operator, say, note } = this.#world
    const next = kind === 'silent' ? '; it is asked again later' : ''
    say(`${range(first, last)} of ${source} are missing: ${reason}${next}`)
    const data = { operator, outcome: 'unknown', consumer, source, first, last, reason: cut(reason) } as const
    note({ type: 'filo.trail.missing', subject: consumer, data })
  }

  /** Asks for entries until all are there; hands on each that continues the chain. A source that gives none is asked ever less often. */
  async #fill(
    lane: SourceLane,
    from: AuditHead,
    through: number,
    hand: (event: AuditEvent) => void,
  ): Promise<Filled> {
    const { clock } = this.#world
    const filled = await this.#askFor(lane, from, through, hand)
    if (filled.kind === 'whole') lane.vain = undefined
    else {
      const pauseMs = lane.vain === undefined ? firstPauseMs : Math.min(2 * lane.vain.pauseMs, longestPauseMs)
      lane.vain = {
        answer: { kind: filled.kind, reason: filled.reason },
        untilMs: clock.now() + pauseMs,
        pauseMs,
      }
    }
    return filled
  }

  async #askFor(
    lane: SourceLane,
    from: AuditHead,
    through: number,
    hand: (event: AuditEvent) => void,
  ): Promise<Filled> {
    const { sources, clock } = this.#world
    const { source } = lane
    const deadlineMs = clock.now() + fillMs
    let end = from
    while (end.sequence < through) {
      if (clock.now() > deadlineMs)
        return { kind: 'silent', end, reason: `${source} takes too long to tell them all` }
      const recalled = await sources.recall(source, end.sequence, through)
      if (recalled.kind === 'silent') return { ...recalled, end }
      const next = end.sequence + 1
      if (recalled.entries.length === 0)
        return { kind: 'denied', end, reason: `${source} has no number ${next}` }
      for (const event of recalled.entries) {
        const continues = event.sequence === end.sequence + 1 && event.previoushash === end.hash
        if (event.source !== source || !continues || !isGenuine(event)) {
          return { kind: 'denied', end, reason: `${source} has another number ${end.sequence + 1} now` }
        }
        this.#hearHeads(event)
        hand(event)
        end = event
      }
      await lane.kept
    }
    return { kind: 'whole', end }
  }

  #hearHeads({ data }: AuditEvent): void {
    for (const { source, sequence } of data.heads ?? []) this.#hearHead(this.#lane(source), sequence)
  }

  /** One that has not come yet is waited for before a later one is. */
  #hearHead(lane: SourceLane, sequence: number): void {
    const has = lane.place?.head.sequence
    if (has === undefined || sequence <= has || (lane.told !== undefined && lane.told.sequence > has)) return
    lane.told = { sequence, sinceMs: this.#world.clock.now() }
  }

  /** Looks for what is missing and no later entry shows, and asks again for what was missing before. */
  async #look(): Promise<void> {
    const { clock, sources, places } = this.#world
    for (;;) {
      await clock.sleep(lookMs, this.#ending.signal).catch(() => {})
      if (this.#ending.signal.aborted) return
      const { own } = sources
      if (own !== undefined) this.#hearHead(this.#lane(own.source), own.head().sequence)
      for (const lane of this.#lanes.values()) {
        if (lane.told !== undefined && clock.now() >= lane.told.sinceMs + onItsWayMs) this.#fillEnd(lane)
      }
      const bySource = Map.groupBy(places.holes(), ({ source }) => source)
      await Promise.all([...bySource].map(([source, holes]) => this.#fillHoles(this.#lane(source), holes)))
    }
  }

  #fillEnd(lane: SourceLane): void {
    const { sequence } = lane.told!
    // Said once: a later end, or the next entry, leads back to it.
    lane.told = undefined
    this.#inTurn(lane, async () => void (await this.#fillLane(lane, sequence)))
  }

  /** Beside what goes on in the lane, which waits for none of it (F3). */
  async #fillHoles(lane: SourceLane, holes: readonly Hole[]): Promise<void> {
    for (const hole of holes) {
      if (lane.vain !== undefined && this.#world.clock.now() < lane.vain.untilMs) return
      await this.#fillHole(lane, hole)
    }
  }

  async #fillHole(lane: SourceLane, hole: Hole): Promise<void> {
    const { keeper, consumer, operator, say, note } = this.#world
    const { source } = lane
    const [first, last] = [hole.after.sequence + 1, hole.before.sequence - 1]
    const filled = await this.#fill(lane, hole.after, last, (event) =>
      keeper.keep(lane, event, { change: (places) => places.lack({ ...hole, after: event }) }),
    )
    await lane.kept
    if (filled.kind === 'silent' || this.#ending.signal.aborted) return
    keeper.write({ change: (places) => places.close(hole) })
    if (filled.kind === 'denied' || filled.end.hash !== hole.before.previoushash) {
      const why = filled.kind === 'denied' ? filled.reason : `${source} has another number ${last} now`
      return say(`${range(first, last)} of ${source} stay missing: ${why}`)
    }
    say(`${range(first, last)} of ${source} were missing, and have come after all`)
    const data = { operator, outcome: 'success', consumer, source, first, last } as const
    note({ type: 'filo.trail.completed', subject: consumer, data })
  }
}

/** Whether an entry is what its own hash says. */
function isGenuine({ hash, ...hashed }: AuditEvent): boolean {
  return digest(hashed) === hash
}

function range(first: number, last: number): string {
  return first === last ? `number ${first}` : `numbers ${first} to ${last}`
}
