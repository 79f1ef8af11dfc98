import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, isCarriedOut } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { askOwner, printAnswer } from './request.ts'

/** `filo cancel RUN`: the process that carries it out sends nothing new; with `--abort` it cuts short what runs. */
export async function cancel(
  context: Context,
  run: string,
  { abort, reason = '' }: { readonly abort?: true; readonly reason?: string },
): Promise<ExitCode> {
  using journal = openJournal(loadFleet(context))
  findRun(journal, run)
  if (!isCarriedOut(journal, run)) {
    const detail = `nobody carries ${run} out now, so nothing is sent; see how it stands with: filo show ${run}`
    printAnswer(context, { accepted: true, detail })
    return exitCodes.done
  }
  const kind = abort ? 'abort' : 'cancel'
  const answer = await askOwner(journal, run, { kind, operator: context.operator, reason })
  printAnswer(context, answer)
  return answer.accepted ? exitCodes.done : exitCodes.unknown
}
