import type { Journal, RunRecord } from '../engine/journal.ts'
import { RunInUse, stateOf } from '../engine/orders.ts'
import { reportOf, type RunReport } from '../run/report.ts'
import { standingOf, type RunStanding } from '../run/standing.ts'
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
  const isOwned = state.ended === null && isCarriedOut(journal, record.run)
  return reportOf(record, state, isOwned, (run) => standingInJournal(journal, run))
}

/** How a run stands; undefined for one that is not of this journal. */
export function standingInJournal(journal: Journal, run: string): RunStanding | undefined {
  const record = journal.run(run)
  if (record === undefined) return undefined
  const state = stateOf(journal, record)
  return standingOf(state, state.ended === null && isCarriedOut(journal, run))
}

/** Throws RunInUse where a process carries the run out at this moment. */
export function refuseCarriedOut(journal: Journal, run: string): void {
  if (isCarriedOut(journal, run)) throw new RunInUse(run, journal.owner(run))
}

/** How many runs back one is looked for that is being carried out. */
const newestRuns = 20

/** The runs that processes carry out at this moment, newest first. */
export function carriedOutRuns(journal: Journal): RunRecord[] {
  return journal.runs(newestRuns).filter(({ run }) => isCarriedOut(journal, run))
}

/** Whether a process carries the run out at this moment. */
export function isCarriedOut(journal: Journal, run: string): boolean {
  using lock = journal.lock(run)
  return lock === undefined
}
