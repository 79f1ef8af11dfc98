import { rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { digest, type AuditEvent } from '@filo/protocol'
import type { Dice } from './dice.ts'

/** The ways in which a stored trail is tampered with. */
export const tamperings = ['byte', 'swap', 'cut', 'drop', 'repeat', 'cut and written anew'] as const
export type Tampering = (typeof tamperings)[number]

/** What the forger did: the document as it is now, and the first entry that is not where it was. */
export interface Forgery {
  readonly lines: readonly Buffer[]
  readonly source: string
  readonly sequence: number
  /** Where that is among the lines, from 1. */
  readonly line: number
}

/** One who may change the entries of a document, and knows how they are made, but not what others keep. */
export class Forger {
  readonly #dice: Dice

  constructor(dice: Dice) {
    this.#dice = dice
  }

  /** @param known the last entry of each source of which somebody else knows. */
  tamper(how: Tampering, entries: readonly AuditEvent[], known: ReadonlyMap<string, number>): Forgery {
    const lines = entries.map(lineOf)
    const at = this.#pick(entries, ({ source, sequence }) => sequence <= (known.get(source) ?? 0))
    const { source, sequence } = entries[at]!
    const forgery = { source, sequence, line: at + 1 }
    const sameSource = entries.map((_, index) => index).filter((index) => entries[index]!.source === source)
    switch (how) {
      case 'byte': {
        const line = Buffer.from(lines[at]!)
        const byte = this.#dice.between(0, line.length - 1)
        line[byte] = (line[byte]! + this.#dice.between(1, 255)) % 256
        return { ...forgery, lines: lines.with(at, line) }
      }
      case 'swap': {
        const other = this.#dice.pick(sameSource.filter((index) => index !== at))
        const [first, second] = [Math.min(at, other), Math.max(at, other)]
        const swapped = lines.with(first, lines[second]!).with(second, lines[first]!)
        return { lines: swapped, source, sequence: entries[first]!.sequence, line: first + 1 }
      }
      case 'cut':
        return { ...forgery, lines: lines.filter((_, index) => index < at || !sameSource.includes(index)) }
      case 'drop':
        return { ...forgery, lines: lines.toSpliced(at, 1) }
      case 'repeat': {
        const to = this.#dice.between(at + 1, lines.length)
        return { ...forgery, lines: lines.toSpliced(to, 0, lines[at]!), line: to + 1 }
      }
      case 'cut and written anew':
        return { ...forgery, lines: this.#writeAnew(entries, at, sameSource).map(lineOf) }
    }
  }

  /** Another story from an entry on, of any length, each entry with its right hash. */
  #writeAnew(entries: readonly AuditEvent[], at: number, sameSource: readonly number[]): AuditEvent[] {
    const anew = [...entries]
    const later = sameSource.filter((index) => index >= at)
    const kept = this.#dice.between(1, later.length)
    let { previoushash } = entries[at]!
    for (const index of later.slice(0, kept)) {
      const { hash: _, ...event } = entries[index]!
      const told = { ...event, data: { ...event.data, reason: `told anew ${index}` }, previoushash }
      anew[index] = { ...told, hash: (previoushash = digest(told)) }
    }
    const gone = new Set(later.slice(kept))
    return anew.filter((_, index) => !gone.has(index))
  }

  #pick(entries: readonly AuditEvent[], may: (event: AuditEvent) => boolean): number {
    return this.#dice.pick(entries.map((_, index) => index).filter((index) => may(entries[index]!)))
  }
}

function lineOf(event: AuditEvent): Buffer {
  return Buffer.from(`${JSON.stringify(event)}\n`)
}

/** Writes a consumer's file. */
export function writeCopy(path: string, lines: readonly Buffer[]): void {
  writeFileSync(path, Buffer.concat(lines))
}

/** Writes a database with nothing but one source's chain in it, each entry under the number of its place. */
export function writeChain(path: string, source: string, lines: readonly Buffer[]): void {
  rmSync(path, { force: true })
  using db = new DatabaseSync(path)
  db.exec('pragma journal_mode = off; pragma synchronous = off')
  db.exec('create table audit_event (source text, sequence integer, hash text, event text); begin')
  const insert = db.prepare('insert into audit_event values (?, ?, ?, cast(? as text))')
  lines.forEach((line, at) => {
    const text = line.subarray(0, -1)
    insert.run(source, at + 1, /"hash":"([^"]*)"\}$/.exec(text.toString())?.[1] ?? '', text)
  })
  db.exec('commit')
}
