import type { Output as CapturedOutput } from '@filo/protocol'
import { listing } from '../fleet/listing.ts'
import type { Blocker } from '../run/blockers.ts'
import type { Counts, RunReport } from '../run/report.ts'
import type { RunStanding } from '../run/standing.ts'
import type { Colors, Context } from './context.ts'
import { counted, describeIntention } from './plan-view.ts'
import { formatTable } from './table.ts'

/** Prints a report on stdout, in the format that was asked for. */
export function printReport({ format, stdout }: Context, report: RunReport): void {
  if (format === 'json') stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  else if (format === 'jsonl') stdout.write(`${JSON.stringify({ type: 'report', ...report })}\n`)
  else stdout.write(`${reportView(report, stdout.colors).join('\n')}\n`)
}

/** What a run came to, for people: the outcome, what is in the way and why, and what to type next. */
export function reportView(report: RunReport, colors: Colors): string[] {
  return [
    headline(report, colors),
    ...report.blockers.slice(0, mostBlockers).flatMap((blocker) => ['', ...blockerLines(blocker, colors)]),
    ...(report.blockers.length > mostBlockers
      ? ['', `and ${report.blockers.length - mostBlockers} more: filo show ${report.run}`]
      : []),
    ...nextLines(report, colors),
  ]
}

const mostBlockers = 8

function headline({ run, fleet, intention, outcome, stopped, counts }: RunReport, colors: Colors): string {
  const isNothing = outcome === 'succeeded' && counts.unchanged === counts.steps
  const paint = outcome === 'succeeded' ? colors.green : outcome === 'waived' ? colors.yellow : colors.red
  const verdict = isNothing
    ? 'nothing to do, all of it was already so'
    : outcome === 'cancelled'
      ? `${stopped?.why ?? 'cancelled'} by ${stopped?.operator ?? 'an operator'}`
      : verdicts[outcome]
  const what = describeIntention(intention, fleet)
  return `${colors.bold(run)} ${what}: ${paint(verdict)}${isNothing ? '' : `; ${tally(counts)}`}`
}

const verdicts: Record<RunStanding, string> = {
  succeeded: 'done and proven',
  waived: 'done, with waivers',
  cancelled: 'cancelled',
  unresolved: 'not done: something is unknown or did not answer',
  failed: 'not done: a step failed',
  refused: 'not done: a host refused the run',
  ordered: 'has not begun',
  running: 'is being carried out',
  interrupted: 'its process ended in the midst of it',
}

/** `3 of 8 steps done (2 changed), 1 failed, 4 not reached` */
function tally({ steps, changed, unchanged, waived, failed, unknown, inFlight, waiting }: Counts): string {
  const rest = Object.entries({ waived, failed, unknown, 'in flight': inFlight, 'not reached': waiting })
  const parts = rest.filter(([, count]) => count > 0).map(([name, count]) => `, ${count} ${name}`)
  const done = changed + unchanged
  return `${done} of ${counted(steps, 'step')} done (${changed} changed)${parts.join('')}`
}

function blockerLines({ kind, name, is, why, since, holds, output }: Blocker, colors: Colors): string[] {
  const isBad = is === 'failed' || is === 'drifted' || is === 'refused' || is === 'fenced'
  // The host's words of a refusal already say since when somebody else holds it.
  const isSaid = since === undefined || is === 'refused'
  const seen = isSaid ? '' : colors.dim(` (${kind === 'host' ? 'since' : 'seen'} ${since})`)
  return [
    `${colors.bold(name)} ${(isBad ? colors.red : colors.yellow)(states[is])}: ${why}${seen}`,
    ...(output === undefined ? [] : lastLines(output).map((line) => colors.dim(`  | ${line}`))),
    ...(holds.length === 0 ? [] : [`  holds ${listing(holds)}`]),
  ]
}

const states: Record<Blocker['is'], string> = {
  failed: 'failed',
  drifted: 'drifted',
  unknown: 'is unknown',
  sealed: 'did not begin',
  doubtful: 'cannot be proven any more',
  silent: 'does not answer',
  refused: 'refused the run',
  fenced: 'was taken over',
}

const mostLines = 10

/** The end of what a process printed: there it says why it failed. */
function lastLines({ head, tail, droppedBytes }: CapturedOutput): string[] {
  const gap = droppedBytes > 0 ? `\n… ${droppedBytes} bytes left out …\n` : ''
  const lines = `${head}${gap}${tail}`.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(-mostLines)
}

function nextLines({ next }: RunReport, colors: Colors): string[] {
  if (next.length === 0) return []
  const rows = next.map(({ command, purpose }) => [{ text: `  ${command}`, paint: colors.bold }, purpose])
  return ['', ...formatTable(['What to type next:', ''], rows)]
}
