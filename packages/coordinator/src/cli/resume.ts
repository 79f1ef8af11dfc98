import { digest } from '@filo/protocol'
import type { Journal, RunRecord } from '../engine/journal.ts'
import { stateOf } from '../engine/orders.ts'
import { changesSince } from '../plan/plan-again.ts'
import { hostsOf } from '../plan/plan.ts'
import { carry, sessionOptions, type SessionChoices } from './carry.ts'
import { confirm, refuseUnlessAskable } from './confirm.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { findRun, refuseCarriedOut, reportFromJournal } from './find-run.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { reportView } from './report-view.ts'
import { formatTable } from './table.ts'

export interface ResumeChoices extends SessionChoices {
  readonly takeOver?: true
  readonly oldPlan?: true
}

/** `filo resume [RUN]`: carries the same plan on, hosts never reached included (W2); only what failed is retried (W3). */
export async function resume(
  context: Context,
  run: string | undefined,
  choices: ResumeChoices,
): Promise<ExitCode> {
  const loaded = loadFleet(context)
  using journal = openJournal(loaded)
  const record = run === undefined ? newestRun(journal) : findRun(journal, run)
  if (!choices.takeOver) refuseCarriedOut(journal, record.run)
  refuseFinished(journal, record)
  refuseOldPlan(context, record, loaded, choices)
  refuseUnlessAskable(context, choices)
  await confirm(context, choices, () => reportView(reportFromJournal(journal, record), context.stderr.colors))
  await using connection = await openConnection(context, loaded, { journal, on: hostsOf(record.plan) })
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

/**
 * A plan that the fleet file would no longer give is carried on only on the operator's word: what it leaves out may be
 * live by now. Throws Exit without it.
 */
function refuseOldPlan(
  context: Context,
  { run, plan }: RunRecord,
  { file, topology }: LoadedFleet,
  { oldPlan }: { readonly oldPlan?: true },
): void {
  const changes = changesSince(plan, topology, digest)
  if (changes.length === 0) return
  const told = [
    `${file} has changed since ${run} was planned. Planned now:`,
    ...changes.map((line) => `  ${line}`),
  ]
  if (oldPlan) {
    context.stderr.write(
      `${told.join('\n')}\nThe run keeps to its plan. Agents with other definitions refuse it.\n`,
    )
    return
  }
  const { verb, selection, labels, only, undoes } = plan.intention
  const labelled = labels.flatMap((label) => ['--label', label])
  const anew =
    undoes === undefined ? [verb, ...selection, ...labelled, ...(only ? ['--only'] : [])] : ['undo', undoes]
  const ways = formatTable(
    ['What to type next:', ''],
    [
      [
        `  filo ${anew.join(' ')}`,
        'the same by the fleet file as it is now: what is done already is found so',
      ],
      [`  filo resume ${run} --old-plan`, 'carry on with the plan as it was made'],
    ],
  )
  throw new Exit(exitCodes.refused, [...told, 'Nothing was done.', '', ...ways].join('\n'))
}
