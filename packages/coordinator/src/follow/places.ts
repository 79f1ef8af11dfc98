import { Database, isBusy, type AuditEvent, type AuditHead, type Schema } from '@filo/protocol'

/** Up to where a consumer has a source's entries. */
export interface Place {
  readonly head: AuditHead
  /** The hash of the source's first entry, where the consumer has it: another first entry begins another chain. */
  readonly first: string | undefined
}

/** Entries that a consumer lacks: what is between two that it has. */
export interface Hole {
  readonly source: string
  readonly after: AuditHead
  /** The first entry behind it. */
  readonly before: Pick<AuditEvent, 'sequence' | 'previoushash'>
}

/** Another process follows as the same consumer. */
export class PlacesInUse extends Error {
  override name = 'PlacesInUse'
}

/** How far a consumer is with each source, and what it lacks. Of one process at a time. */
export class Places implements Disposable {
  readonly #db: Database

  private constructor(db: Database) {
    this.#db = db
  }

  /** Throws PlacesInUse, DamagedDatabase. */
  static open(path: string): Places {
    try {
      return new Places(Database.open(path, { schema, exclusive: true }))
    } catch (error) {
      if (isBusy(error)) throw new PlacesInUse(`another process has ${path}`, { cause: error })
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]()
  }

  /** Whether this consumer has never had anything. */
  get isNew(): boolean {
    return this.#db.sql.prepare('select 1 from place limit 1').get() === undefined
  }

  of(source: string): Place | undefined {
    const row = this.#db.sql.prepare('select sequence, hash, first from place where source = ?').get(source)
    if (row === undefined) return undefined
    const head = { sequence: row['sequence'] as number, hash: row['hash'] as string }
    return { head, first: (row['first'] as string | null) ?? undefined }
  }

  holes(): Hole[] {
    return this.#db.sql
      .prepare('select * from hole order by source, before_sequence')
      .all()
      .map((row) => ({
        source: row['source'] as string,
        after: { sequence: row['after_sequence'] as number, hash: row['after_hash'] as string },
        before: {
          sequence: row['before_sequence'] as number,
          previoushash: row['before_previoushash'] as string,
        },
      }))
  }

  /**
   * Notes several changes at once. They survive this process, but perhaps not the machine: a place that is behind makes the
   * source be asked again for what the consumer has.
   */
  note(changes: readonly PlaceChange[]): void {
    this.#db.unsynced(() => {
      for (const change of changes) change(this.#writer)
    })
  }

  readonly #writer: PlacesWriter = {
    put: (source, { head, first }) => {
      this.#db.sql
        .prepare('insert or replace into place (source, sequence, hash, first) values (?, ?, ?, ?)')
        .run(source, head.sequence, head.hash, first ?? null)
    },
    lack: ({ source, after, before }) => {
      this.#db.sql
        .prepare(
          `insert or replace into hole (source, before_sequence, before_previoushash, after_sequence, after_hash)
           values (?, ?, ?, ?, ?)`,
        )
        .run(source, before.sequence, before.previoushash, after.sequence, after.hash)
    },
    close: ({ source, before }) => {
      this.#db.sql
        .prepare('delete from hole where source = ? and before_sequence = ?')
        .run(source, before.sequence)
    },
  }
}

export type PlaceChange = (places: PlacesWriter) => void

interface PlacesWriter {
  put(source: string, place: Place): void
  /** Notes a hole, or that it begins later than it did. */
  lack(hole: Hole): void
  /** Forgets a hole: it is filled, or never will be. */
  close(hole: Hole): void
}

const schema: Schema = {
  tables: [
    {
      name: 'place',
      columns: {
        source: 'text not null',
        sequence: 'integer not null',
        hash: 'text not null',
        first: 'text',
      },
      key: ['source'],
      isClustered: true,
    },
    {
      name: 'hole',
      columns: {
        source: 'text not null',
        before_sequence: 'integer not null',
        before_previoushash: 'text not null',
        after_sequence: 'integer not null',
        after_hash: 'text not null',
      },
      key: ['source', 'before_sequence'],
      isClustered: true,
    },
  ],
}
