import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Holder } from '@filo/protocol'

/** What a ledger says to somebody who may not write to it. */
export interface LedgerSight {
  readonly holder: Holder | null
  /** The services that were stopped here and not started since. */
  readonly stoppedHere: ReadonlySet<string>
}

const nothing: LedgerSight = { holder: null, stoppedHere: new Set() }

/**
 * Reads the ledger of a host whose agent does not run. Where one does it says nothing: that agent has it locked, and
 * knows better. Nothing is locked in its turn for longer than two queries take.
 */
export function readLedger(path: string): LedgerSight {
  if (!existsSync(path)) return nothing
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const row = db.prepare('select holder from ledger').get()
    const held = row?.['holder']
    const stopped = db.prepare('select service from stopped_here').all()
    return {
      holder: typeof held === 'string' ? Holder.parse(JSON.parse(held)) : null,
      stoppedHere: new Set(stopped.map(({ service }) => service as string)),
    }
  } catch (error) {
    // Locked by its agent, or damaged: who acts will say so.
    if (error instanceof Error && 'errcode' in error) return nothing
    throw error
  } finally {
    db.close()
  }
}
