import { effectsOf, stateOf } from '../engine/orders.ts'
import { listing } from '../fleet/listing.ts'
import { undoIntention } from '../plan/undo.ts'
import type { SessionChoices } from './carry.ts'
import { confirmAndCarry } from './change.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, refuseCarriedOut } from './find-run.ts'
import { layPlan } from './lay-plan.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { look } from './look.ts'

/** What ran on a host that is switched off can only be started again once somebody has switched it on. */
async function refuseHalted(
  context: Context,
  loaded: LoadedFleet,
  run: string,
  halted: ReadonlySet<string>,
): Promise<void> {
  if (halted.size === 0) return
  await using connection = await openConnection(context, loaded)
  const { hosts } = await look(
    loaded,
    connection,
    [...halted].map((host) => ({ host })),
  )
  const off = [...halted].filter((host) => !hosts.get(host)?.answered)
  if (off.length === 0) return
  throw new Exit(
    exitCodes.refused,
    `${run} halted ${listing(off)}, and Filo cannot switch a host on. Do so by hand (its console, its power button); ` +
      `when ${off.map((host) => `"filo status @${host}"`).join(' and ')} shows an answer, type this again: filo undo ${run}`,
  )
}

/** `filo undo RUN`: starts exactly what that run stopped, or the reverse (P5). */
export async function undo(context: Context, run: string, choices: SessionChoices): Promise<ExitCode> {
  const loaded = loadFleet(context)
  using journal = openJournal(loaded)
  const record = findRun(journal, run)
  refuseCarriedOut(journal, run)
  const { inFlight, unknown, gone } = stateOf(journal, record)
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
  await refuseHalted(context, loaded, run, gone)
  const plan = await layPlan(loaded, undone.intention, undefined)
  return await confirmAndCarry(context, loaded, plan, choices)
}
