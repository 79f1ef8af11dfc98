import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, isCarriedOut, reportFromJournal } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { printReport } from './report-view.ts'
import { askOwner, printAnswer } from './request.ts'

/** `filo cancel RUN`: the process that carries it out sends nothing new; with `--abort` it cuts short what runs. */
export async function cancel(
  context: Context,
  run: string,
  { abort, reason = '' }: { readonly abort?: true; readonly reason?: string },
): Promise<ExitCode> {
  using journal = openJournal(loadFleet(context))
  const record = findRun(journal, run)
  if (!isCarriedOut(journal, run)) {
    context.stderr.write('nobody carries it out now, so nothing is sent; this is how it stands:\n')
    printReport(context, reportFromJournal(journal, record))
    return exitCodes.done
  }
  const kind = abort ? 'abort' : 'cancel'
  const answer = await askOwner(journal, run, { kind, operator: context.operator, reason })
  printAnswer(context, answer)
  return answer.accepted ? exitCodes.done : exitCodes.unknown
}
