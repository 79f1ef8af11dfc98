import type { Journal, RunRecord } from '../engine/journal.ts'
import { stateOf } from '../engine/orders.ts'
import { reportOf, type RunReport } from '../run/report.ts'
import { Exit, exitCodes } from './exit-code.ts'

/** The run of that name. Throws Exit where the journal has none. */
export function findRun(journal: Journal, run: string): RunRecord {
  const record = journal.run(run)
  if (record === undefined) {
    throw new Exit(exitCodes.usage, `this fleet has no run "${run}"; see which there are with: filo runs`)
  }
  return record
}

/** What a run has come to by now, by its journal and its lock. */
export function reportFromJournal(journal: Journal, record: RunRecord): RunReport {
  const state = stateOf(journal, record)
  return reportOf(record, state, state.ended === null && isCarriedOut(journal, record.run))
}

/** Whether a process carries the run out at this moment. */
export function isCarriedOut(journal: Journal, run: string): boolean {
  using lock = journal.lock(run)
  return lock === undefined
}
