import { relayAudit, type Connection } from '../engine/connection.ts'
import type { SessionOptions } from '../engine/executor.ts'
import { RunTakenOver, type Journal, type RunRecord } from '../engine/journal.ts'
import { carryOut, orderRun, RunInUse } from '../engine/orders.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { hostsOf, type Plan } from '../plan/plan.ts'
import { reportOf, type RunReport } from '../run/report.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { exitCodeOf, exitCodes, type ExitCode } from './exit-code.ts'
import { standingInJournal } from './find-run.ts'
import { listenForInterruption } from './interruption.ts'
import type { LoadedFleet } from './load-fleet.ts'
import { printReport } from './report-view.ts'
import { openRunView } from './run-view.ts'

/** How an operator wants a run to be carried out. */
export interface SessionChoices {
  readonly yes?: true
  readonly continue?: true
  /** Milliseconds. */
  readonly patience: number
  readonly reason?: string
}

/** A run ended by an error that is nobody's answer; its journal says how far it came. */
export class RunBroken extends Error {
  override name = 'RunBroken'
  readonly run: string

  constructor(run: string, cause: unknown) {
    super(`${run} has ended in the midst of it`, { cause })
    this.run = run
  }
}

/** Makes a run of a plan and carries it out. */
export async function carryPlan(
  context: Context,
  loaded: LoadedFleet,
  plan: Plan,
  choices: SessionChoices,
): Promise<ExitCode> {
  using journal = openJournal(loaded)
  // Connected first: a run that cannot begin is not ordered.
  await using connection = await openConnection(context, loaded, { journal, on: hostsOf(plan) })
  const record = orderRun(journal, plan, context.operator, choices.reason)
  const session = { fleet: loaded.fleet, journal, connection, record }
  return await carry(context, session, sessionOptions(choices, 'no'))
}

export function sessionOptions(
  choices: Pick<SessionChoices, 'continue' | 'patience'>,
  takeOver: SessionOptions['takeOver'],
): SessionOptions {
  return { policy: choices.continue ? 'continue' : 'hold', patienceMs: choices.patience, takeOver }
}

export interface CarriedRun {
  readonly fleet: Fleet
  readonly journal: Journal
  readonly connection: Connection
  readonly record: RunRecord
}

/** Carries a run on to the end of a session, shows it, and tells what it came to. Throws RunInUse, RunTakenOver, RunBroken. */
export async function carry(
  context: Context,
  carried: CarriedRun,
  options: SessionOptions,
): Promise<ExitCode> {
  const { fleet, journal, connection } = carried
  await using relaying = relayAudit(journal, fleet, connection.transport)
  const report = await carryInView(context, carried, options)
  await relaying?.drain(drainMs)
  printReport(context, report)
  return exitCodeOf(report)
}

async function carryInView(
  context: Context,
  { journal, connection, record }: CarriedRun,
  options: SessionOptions,
): Promise<RunReport> {
  const { run } = record
  using view = await openRunView(context, run)
  using interruption = listenForInterruption(
    () => view.say(`Nothing new is sent; what is in flight is awaited. Ctrl-C again leaves at once.`),
    () => {
      view[Symbol.dispose]()
      context.stderr.write(
        `Left in the midst of ${run}. What was sent goes on at the agents; find out and carry on with: filo resume ${run}\n`,
      )
      // Not an orderly end: the journal stays as after a crash.
      process.exit(exitCodes.interrupted)
    },
  )
  view.say(`${run} ${options.takeOver === 'no' ? 'begins' : 'carries on'}`)
  try {
    const state = await carryOut(journal, connection.link, record, options, view, interruption.signal)
    return reportOf(record, state, false, (other) => standingInJournal(journal, other))
  } catch (error) {
    if (error instanceof RunInUse || error instanceof RunTakenOver) throw error
    throw new RunBroken(run, error)
  }
}

/** How long the last audit events may take; what is left is relayed by the next command. */
const drainMs = 3000
