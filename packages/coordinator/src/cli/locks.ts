import { systemClock } from '@filo/protocol'
import { askHolders, type HostHold } from '../engine/holders.ts'
import type { Journal, RunOwner } from '../engine/journal.ts'
import { hostsOf } from '../plan/plan.ts'
import type { RunStanding } from '../run/standing.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { carriedOutRuns, standingInJournal } from './find-run.ts'
import { loadFleet } from './load-fleet.ts'
import { locksView } from './locks-view.ts'
import { printJson, printLines } from './print.ts'

/** Who holds a host, if anybody, or why that is not known. */
export interface HostLock {
  readonly host: string
  readonly answered: boolean
  readonly silence?: string
  readonly heldBy?: { readonly run: string; readonly operator: string; readonly since: string }
  readonly heldForMs?: number
  /** How the run stands by this journal; absent where it is not of this journal. */
  readonly standing?: RunStanding
}

/** A run that a process on this machine carries out now. */
export interface RunLock extends Partial<Omit<RunOwner, 'coordinator'>> {
  readonly run: string
  readonly hosts: readonly string[]
}

/** An agent answers this at once, or not at all. */
const answerTimeoutMs = 5000

/** `filo locks`: who holds which host, since when and for which run. */
export async function locks(context: Context): Promise<ExitCode> {
  const loaded = loadFleet(context)
  using journal = openJournal(loaded)
  await using connection = await openConnection(context, loaded)
  const holds = await askHolders(connection.link, loaded.fleet.hosts.keys(), answerTimeoutMs)
  const runs = carriedOutRuns(journal).map(({ run, plan }): RunLock => {
    const owner = journal.owner(run)
    const hosts = [...hostsOf(plan)]
    if (owner === undefined) return { run, hosts }
    const { operator, pid, since } = owner
    return { run, operator, pid, since, hosts }
  })
  // The ledger of a local host is closed to all but the process that acts on it; of what that one holds its run tells.
  const own = loaded.fleet.broker === 'local' ? runs : []
  const hosts = holds.map((hold) => lockOf(journal, hold, own))
  const now = systemClock.wall()
  const { stdout, format } = context
  if (format === 'json') printJson(stdout, { fleet: loaded.fleet.name, at: now.toISOString(), hosts, runs })
  else printLines(stdout, locksView(hosts, runs, { colors: stdout.colors, now }))
  return hosts.every(({ answered }) => answered) ? exitCodes.done : exitCodes.unknown
}

function lockOf(journal: Journal, hold: HostHold, own: readonly RunLock[]): HostLock {
  const { host } = hold
  if (hold.kind === 'silent') return { host, answered: false, silence: hold.silence }
  if (hold.kind === 'held') {
    const { run, operator, since } = hold.holder
    return lock(journal, host, { run, operator, since }, hold.ageMs)
  }
  const holder = own.find(({ hosts }) => hosts.includes(host))
  if (holder?.since === undefined) return { host, answered: true }
  const { run, since, operator = '' } = holder
  return lock(journal, host, { run, operator, since }, Date.now() - Date.parse(since))
}

function lock(
  journal: Journal,
  host: string,
  heldBy: NonNullable<HostLock['heldBy']>,
  heldForMs: number,
): HostLock {
  const standing = standingInJournal(journal, heldBy.run)
  return { host, answered: true, heldBy, heldForMs, ...(standing && { standing }) }
}
