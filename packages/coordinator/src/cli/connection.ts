import { randomUUID } from 'node:crypto'
import { systemClock } from '@filo/protocol'
import { connect, type Connection } from '../engine/connection.ts'
import { Journal } from '../engine/journal.ts'
import type { Context } from './context.ts'
import type { LoadedFleet } from './load-fleet.ts'

/**
 * Connects to the agents of a fleet. `actOn` are the hosts that will be acted on: with `broker: local` nobody else
 * can while this lasts. Throws BrokerUnavailable, KeyError, HostInUse.
 */
export async function openConnection(
  context: Context,
  { fleet, dir }: LoadedFleet,
  actOn: ReadonlySet<string>,
): Promise<Connection> {
  // Errors only, unless a level is named.
  const logLevel = context.environment['FILO_LOG'] ?? 'error'
  return await connect({ fleet, dir, operator: context.operator, actOn, logLevel })
}

export function openJournal({ dir }: LoadedFleet): Journal {
  return Journal.open(dir, systemClock, randomUUID)
}
