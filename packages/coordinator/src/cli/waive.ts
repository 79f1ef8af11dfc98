import type { Journal, RequestAnswer, RunRecord } from '../engine/journal.ts'
import { stateOf } from '../engine/orders.ts'
import { auditOf } from '../run/audit.ts'
import type { RunEvent } from '../run/run-event.ts'
import { judgeWaiver } from '../run/waiver.ts'
import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { findRun } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { askOwner, printAnswer } from './request.ts'

/** `filo waive RUN STEP`: opens a gate without proof, on the operator's recorded word. */
export async function waive(
  context: Context,
  run: string,
  step: string,
  { reason }: { readonly reason: string },
): Promise<ExitCode> {
  if (reason.trim() === '') {
    throw new Exit(
      exitCodes.usage,
      'a waiver needs a reason: --reason "why it is safe to go on without proof"',
    )
  }
  using journal = openJournal(loadFleet(context))
  const record = findRun(journal, run)
  const waiver: Waiver = { step, operator: context.operator, reason }
  using lock = journal.lock(run)
  const answer =
    lock === undefined
      ? await askOwner(journal, run, { kind: 'waive', ...waiver })
      : waiveInJournal(journal, record, waiver)
  printAnswer(context, answer)
  if (!answer.accepted) return exitCodes.refused
  if (lock !== undefined) context.stderr.write(`Carry on with: filo resume ${run}\n`)
  return exitCodes.done
}

interface Waiver {
  readonly step: string
  readonly operator: string
  readonly reason: string
}

/** Waives a step of a run that nobody carries out; the caller holds its lock. */
function waiveInJournal(
  journal: Journal,
  record: RunRecord,
  { step, operator, reason }: Waiver,
): RequestAnswer {
  const { run, plan } = record
  const verdict = judgeWaiver(stateOf(journal, record), step)
  if (verdict.kind === 'refused') return { accepted: false, detail: verdict.detail }
  const event: RunEvent = { type: 'waived', step: verdict.step, operator, reason }
  const draft = auditOf(run, plan, event)
  journal.append(run, [event], draft === undefined ? [] : [draft])
  return { accepted: true, detail: verdict.detail }
}
