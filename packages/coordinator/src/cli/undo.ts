import { effectsOf, RunInUse, stateOf } from '../engine/orders.ts'
import { undoIntention } from '../plan/undo.ts'
import type { SessionChoices } from './carry.ts'
import { confirmAndCarry } from './change.ts'
import { openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, isCarriedOut } from './find-run.ts'
import { layPlan } from './lay-plan.ts'
import { loadFleet } from './load-fleet.ts'

/** `filo undo RUN`: starts exactly what that run stopped, or the reverse (P5). */
export async function undo(context: Context, run: string, choices: SessionChoices): Promise<ExitCode> {
  const loaded = loadFleet(context)
  using journal = openJournal(loaded)
  const record = findRun(journal, run)
  if (isCarriedOut(journal, run)) throw new RunInUse(`${run} is being carried out by another process`)
  const { inFlight, unknown } = stateOf(journal, record)
  if (inFlight.size + unknown.size > 0) {
    throw new Exit(
      exitCodes.unknown,
      `${run} has steps of which nobody knows what they came to, so the way back from it is not known either; find out first: filo resume ${run}`,
    )
  }
  const undone = undoIntention(run, effectsOf(journal, record))
  if (undone.kind === 'nothing') {
    context.stderr.write(
      `${run} changed nothing that it did not also change back: there is nothing to undo\n`,
    )
    return exitCodes.done
  }
  const plan = await layPlan(loaded, undone.intention, undefined)
  return await confirmAndCarry(context, loaded, plan, choices)
}
