import { systemClock } from '@filo/protocol'
import type { RunReport } from '../run/report.ts'
import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { reportFromJournal } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { describeIntention } from './plan-view.ts'
import { formatTable } from './table.ts'
import { formatMoment } from './when.ts'

/** How many runs are listed: what happened lately. */
const newest = 20

/** `filo runs`: the newest runs, newest first, and what they came to. */
export function runs(context: Context): ExitCode {
  const { format, stdout } = context
  using journal = openJournal(loadFleet(context))
  const reports = journal.runs(newest).map((record) => reportFromJournal(journal, record))
  if (format === 'json') stdout.write(`${JSON.stringify(reports.map(summaryOf), undefined, 2)}\n`)
  else if (format === 'jsonl')
    for (const report of reports) stdout.write(`${JSON.stringify(summaryOf(report))}\n`)
  else if (reports.length === 0) context.stderr.write('there are no runs yet\n')
  else stdout.write(`${formatTable(heading, reports.map(rowOf), columnsOf(context)).join('\n')}\n`)
  return exitCodes.done
}

const heading = ['run', 'ordered', 'by', 'outcome', 'what']

function columnsOf({ stdout }: Context): number | undefined {
  return stdout.isTerminal ? stdout.columns : undefined
}

function rowOf({ run, orderedAt, operator, outcome, intention, fleet }: RunReport): string[] {
  const ordered = formatMoment(orderedAt, systemClock.wall())
  return [run, ordered, operator, outcome, describeIntention(intention, fleet)]
}

/** A report without its steps. */
function summaryOf({ steps: _steps, blockers: _blockers, ...summary }: RunReport): object {
  return summary
}
