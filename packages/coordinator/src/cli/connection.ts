import { randomUUID } from 'node:crypto'
import { systemClock } from '@filo/protocol'
import { connect, HostInUse, type Connection } from '../engine/connection.ts'
import { Journal } from '../engine/journal.ts'
import { redactorOf } from '../engine/redactor.ts'
import { hostsOf } from '../plan/plan.ts'
import type { Context } from './context.ts'
import { carriedOutRuns } from './find-run.ts'
import type { LoadedFleet } from './load-fleet.ts'

/** Who will act: where that is recorded, and on which hosts. */
export interface Acting {
  readonly journal: Journal
  readonly on: ReadonlySet<string>
}

/**
 * Connects to the agents of a fleet, to look, or to act on some hosts: with `broker: local` nobody else can while this
 * lasts. Throws BrokerUnavailable, KeyError, HostInUse.
 */
export async function openConnection(
  context: Context,
  loaded: LoadedFleet,
  acting?: Acting,
): Promise<Connection> {
  const { fleet, dir } = loaded
  // Errors only, unless a level is named.
  const logLevel = context.environment['FILO_LOG'] ?? 'error'
  const actOn = acting?.on ?? new Set<string>()
  try {
    const journal = acting?.journal ?? null
    return await connect({ fleet, dir, operator: context.operator, journal, actOn, logLevel })
  } catch (error) {
    if (!(error instanceof HostInUse)) throw error
    using journal = openJournal(loaded)
    const holder = carriedOutRuns(journal).find(({ plan }) => hostsOf(plan).has(error.host))
    throw holder === undefined ? error : new HostInUse(error.host, holder.run, journal.owner(holder.run))
  }
}

export function openJournal({ fleet, dir }: LoadedFleet): Journal {
  return Journal.open(dir, systemClock, randomUUID, redactorOf(fleet))
}
