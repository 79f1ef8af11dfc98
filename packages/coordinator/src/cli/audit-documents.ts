import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy, type AuditDocument, type StoredEntry } from '@filo/protocol'
import type { LoadedFleet } from './load-fleet.ts'

// The files that hold audit events. They are read and never written, and not by the code that wrote them.

const sqliteMagic = 'SQLite format 3\0'
const chunkBytes = 1024 * 1024
/** Longer lines are handed on in parts, which are no entries. */
const lineBytes = 1024 * 1024

/** Nothing can be said of a file. */
export class Unreadable extends Error {
  override name = 'Unreadable'
  /** Its agent, which runs, has it locked. */
  readonly isLocked: boolean

  constructor(path: string, why: string, options: { readonly cause: unknown; readonly isLocked: boolean }) {
    super(`${path} cannot be read: ${why}`, options)
    this.isLocked = options.isLocked
  }
}

/**
 * A journal or a ledger with its chains, or a file of JSON lines; which of them, its first bytes tell. Throws
 * Unreadable, and so does what it gives while it is read.
 */
export function auditDocument(path: string): AuditDocument {
  const isDatabase = firstBytes(path, sqliteMagic.length).toString('latin1') === sqliteMagic
  return isDatabase
    ? { name: path, kind: 'chain', entries: rowsOf(path) }
    : { name: path, kind: 'copy', entries: linesOf(path) }
}

/** Opens a document, if it is there. */
export type OpenDocument = () => AuditDocument[]

/** The journal of a fleet, and with `broker: local` the ledgers of its hosts. */
export function ownDocuments({ fleet, dir }: LoadedFleet): OpenDocument[] {
  const hosts = fleet.broker === 'local' ? [...fleet.hosts.keys()] : []
  const paths = [dir.journal, ...hosts.map((host) => join(dir.host(host), 'ledger.db'))]
  return paths.map((path) => () => (existsSync(path) ? [auditDocument(path)] : []))
}

function* rowsOf(path: string): Generator<StoredEntry> {
  const query = 'select source, sequence, hash, event from audit_event order by source, sequence'
  try {
    using db = new DatabaseSync(path, { readOnly: true })
    for (const { source, sequence, hash, event } of db.prepare(query).iterate()) {
      const key = { source: String(source), sequence: Number(sequence) }
      const text = String(event)
      yield { place: `number ${key.sequence} in table audit_event`, text, key, hash: String(hash) }
    }
  } catch (error) {
    throw unreadable(path, error)
  }
}

function* linesOf(path: string): Generator<StoredEntry> {
  // Strict: bytes that are no UTF-8 would else be read as if they were others.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let number = 0
  for (const bytes of splitLines(path)) {
    number += 1
    const isWhole = bytes.at(-1) === 0x0a
    const place = `line ${number}`
    let text: string
    try {
      text = decoder.decode(isWhole ? bytes.subarray(0, -1) : bytes)
    } catch {
      yield { place, text: bytes.toString('latin1') + '\n' }
      continue
    }
    // A line without its end was cut off, or its writer was.
    yield { place, text: isWhole ? text : `${text}\n` }
  }
}

/** Lines with their line feeds; the last may have none. */
function* splitLines(path: string): Generator<Buffer> {
  const file = open(path)
  try {
    let rest = Buffer.alloc(0)
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes)
      const read = readSync(file, chunk)
      if (read === 0) break
      rest = Buffer.concat([rest, chunk.subarray(0, read)])
      let from = 0
      for (let at = rest.indexOf(0x0a); at !== -1; at = rest.indexOf(0x0a, from)) {
        yield rest.subarray(from, at + 1)
        from = at + 1
      }
      rest = rest.subarray(from)
      if (rest.length > lineBytes) {
        yield rest
        rest = Buffer.alloc(0)
      }
    }
    if (rest.length > 0) yield rest
  } finally {
    closeSync(file)
  }
}

function firstBytes(path: string, count: number): Buffer {
  const file = open(path)
  try {
    const bytes = Buffer.alloc(count)
    return bytes.subarray(0, readSync(file, bytes))
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    closeSync(file)
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, cause: unknown): Unreadable {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Unreadable(path, why, { cause, isLocked: isBusy(cause) })
}
