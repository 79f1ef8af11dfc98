import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { AuditEvent, TrailVerdict } from '@filo/protocol'
import { succeed } from './succeed.ts'

// Whether the file of `filo audit follow` has all that the journal and the ledgers of a fleet have.

const lastBytes = 16 * 1024 * 1024

/** What has been written of late: some 25,000 events. */
export function lastEvents(file: string): AuditEvent[] {
  const fd = openSync(file, 'r')
  const { size } = fstatSync(fd)
  const chunk = Buffer.alloc(Math.min(lastBytes, size))
  readSync(fd, chunk, 0, chunk.length, size - chunk.length)
  closeSync(fd)
  const lines = chunk.toString('utf8').split('\n')
  // The first may be a part of a line, and so may the last.
  const whole = lines.slice(size > lastBytes ? 1 : 0, -1)
  return whole.map((line) => JSON.parse(line) as AuditEvent)
}

/** The sources whose last event is not among the file's last ones. */
export function lackingEnds(file: string, chains: readonly string[]): string[] {
  const hashes = new Set(lastEvents(file).map(({ hash }) => hash))
  return chains.flatMap((chain) => {
    using db = new DatabaseSync(chain, { readOnly: true })
    const ends = db.prepare('select source, hash, max(sequence) from audit_event group by source').all()
    return ends.filter(({ hash }) => !hashes.has(String(hash))).map(({ source }) => String(source))
  })
}

export interface Kept {
  /** In the file, each counted once. */
  readonly events: number
  /** How many came again. */
  readonly repeats: number
}

/** Throws unless every chain is whole, and the file has all of it from the first event to the last. */
export async function verifyAll(dir: string, file: string, chains: readonly string[]): Promise<Kept> {
  const allowed = ['--allow', 'repeats', '--allow', 'late']
  const told = await succeed(dir, 'audit', 'verify', '--json', ...allowed, file, ...chains)
  const verdict = JSON.parse(told) as TrailVerdict
  const copies = verdict.chains.filter(({ document }) => document === file)
  for (const { source, last } of verdict.chains) {
    const copy = copies.find((each) => each.source === source)
    if (copy?.first !== 1 || copy.last !== last) throw new Error(`events of ${source} are missing in ${file}`)
  }
  return {
    events: copies.reduce((sum, { last }) => sum + last, 0),
    repeats: copies.reduce((sum, { repeats }) => sum + repeats, 0),
  }
}
