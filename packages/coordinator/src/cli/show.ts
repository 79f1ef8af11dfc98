import type { RunReport } from '../run/report.ts'
import { openJournal } from './connection.ts'
import type { Colors, Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, reportFromJournal } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { reportView } from './report-view.ts'
import { formatTable, type Cell } from './table.ts'
import { formatDuration } from './when.ts'

/** `filo show RUN`: its steps with their actions, then what it came to. */
export function show(context: Context, run: string): ExitCode {
  const { format, stdout } = context
  using journal = openJournal(loadFleet(context))
  const report = reportFromJournal(journal, findRun(journal, run))
  if (format === 'json') stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  else {
    const columns = stdout.isTerminal ? stdout.columns : undefined
    stdout.write(`${showView(report, stdout.colors, columns).join('\n')}\n`)
  }
  return exitCodes.done
}

/** As much of an action's id as tells it from the others of a run, and can be searched for in agents' logs. */
const idLength = 8

/** @param columns of the terminal: what does not fit stands below, where it matters, or with `--json`. */
export function showView(report: RunReport, colors: Colors, columns?: number): string[] {
  const { operator, orderedAt, planHash, sessions, policy, reason, steps } = report
  const rows = steps.map(({ step, phase, outcome, durationMs, action, reason: why, since }): Cell[] => [
    step,
    { text: phase === 'done' ? (outcome ?? phase) : phase, paint: paintOf(phase, colors) },
    durationMs === undefined ? '' : formatDuration(durationMs),
    { text: action?.slice(0, idLength) ?? '', paint: colors.dim },
    why ??
      (since === undefined ? '' : `${step.startsWith('reboot') ? 'rebooting' : 'halting'} since ${since}`),
  ])
  return [
    `ordered by ${operator} at ${orderedAt}${reason === undefined ? '' : `: ${reason}`}`,
    `plan ${planHash.slice(0, 12)}, ${sessions} session${sessions === 1 ? '' : 's'}, policy ${policy}`,
    '',
    ...formatTable(['step', 'came to', 'took', 'action', 'why'], rows, columns),
    '',
    ...reportView(report, colors),
  ]
}

function paintOf(phase: RunReport['steps'][number]['phase'], colors: Colors): (text: string) => string {
  switch (phase) {
    case 'done':
      return colors.green
    case 'failed':
    case 'drifted':
      return colors.red
    case 'unknown':
    case 'sealed':
    case 'waived':
      return colors.yellow
    case 'sent':
    case 'waiting':
      return (text) => text
  }
}
