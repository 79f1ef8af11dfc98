import { digest } from '@filo/protocol'
import type { Journal, RunRecord } from '../engine/journal.ts'
import { RunInUse, stateOf } from '../engine/orders.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { listing } from '../fleet/listing.ts'
import { carry, hostsOf, sessionOptions, type SessionChoices } from './carry.ts'
import { confirm, refuseUnlessAskable } from './confirm.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, isCarriedOut, reportFromJournal } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { reportView } from './report-view.ts'

/** `filo resume [RUN]`: carries the same plan on, hosts never reached included (W2); only what failed is retried (W3). */
export async function resume(
  context: Context,
  run: string | undefined,
  choices: SessionChoices & { readonly takeOver?: true },
): Promise<ExitCode> {
  const loaded = loadFleet(context)
  using journal = openJournal(loaded)
  const record = run === undefined ? newestRun(journal) : findRun(journal, run)
  if (isCarriedOut(journal, record.run)) {
    throw new RunInUse(`${record.run} is being carried out by another process`)
  }
  refuseFinished(journal, record)
  refuseUnlessAskable(context, choices)
  warnOfChanges(context, record, loaded.fleet)
  await confirm(context, choices, () => reportView(reportFromJournal(journal, record), context.stderr.colors))
  await using connection = await openConnection(context, loaded, hostsOf(record.plan))
  const options = sessionOptions(choices, choices.takeOver ? 'any' : 'run')
  return await carry(context, { fleet: loaded.fleet, journal, connection, record }, options)
}

/** An older run is carried on only by name: since then others may have led the fleet elsewhere. */
function newestRun(journal: Journal): RunRecord {
  const [newest] = journal.runs(1)
  if (newest === undefined) throw new Exit(exitCodes.nothingMatched, 'there is no run to resume')
  return newest
}

/** What has succeeded has nothing left to do, whatever has become of its services since. */
function refuseFinished(journal: Journal, record: RunRecord): void {
  const { ended } = stateOf(journal, record)
  if (ended !== 'succeeded' && ended !== 'waived') return
  throw new Exit(
    exitCodes.nothingMatched,
    `${record.run} has ended as ${ended}: there is nothing to carry on. What is so now: filo status; earlier runs: filo runs`,
  )
}

/** Says what the fleet file has otherwise than the plan: the agents decide which of the two they have. */
function warnOfChanges(context: Context, { run, plan }: RunRecord, fleet: Fleet): void {
  const changed = Object.entries(plan.services).filter(([name, { definition }]) => {
    const service = fleet.services.get(name)
    return service === undefined || digest(service.definition) !== definition
  })
  if (changed.length === 0) return
  const names = listing(changed.map(([name]) => name))
  context.stderr.write(
    `The fleet file has changed since ${run} was planned: ${names}. The run keeps to its plan, and agents that ` +
      'have the new definition will refuse it; if so, plan anew.\n',
  )
}
