import { systemClock } from '@filo/protocol'
import { select } from '../fleet/selection.ts'
import type { Instance, Topology } from '../fleet/topology.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { look } from './look.ts'
import { printJson, printJsonLines, printLines } from './print.ts'
import { statusCode, statusRows, statusView } from './status-view.ts'

/** Shows what every selected instance is doing. Looks, and changes nothing. */
export async function status(
  context: Context,
  selection: readonly string[],
  { label }: { readonly label: readonly string[] },
): Promise<ExitCode> {
  const loaded = loadFleet(context)
  const instances = selectInstances(loaded.topology, selection, label)
  await using connection = await openConnection(context, loaded, new Set())
  const wanted = instances.map(({ service, host }) => ({ service: service.name, host }))
  const seen = await look(loaded, connection, wanted)
  const rows = statusRows(instances, seen)
  const { stdout, format } = context
  if (format === 'jsonl') printJsonLines(stdout, rows)
  else if (format === 'json') {
    const at = systemClock.wall().toISOString()
    printJson(stdout, { fleet: loaded.fleet.name, at, instances: rows, hosts: [...seen.hosts.values()] })
  } else {
    const { colors, columns, isTerminal } = stdout
    const options = { colors, now: systemClock.wall(), ...(isTerminal && { columns }) }
    printLines(stdout, statusView(rows, seen.hosts.values(), options))
  }
  return statusCode(rows)
}

/** Throws Exit where nothing matches. */
function selectInstances(
  topology: Topology,
  selection: readonly string[],
  labels: readonly string[],
): readonly Instance[] {
  const chosen = select(topology, selection, labels)
  if (chosen.kind === 'malformed') throw new Exit(exitCodes.usage, chosen.reason)
  if (chosen.kind === 'nothing') throw new Exit(exitCodes.nothingMatched, chosen.reason)
  return chosen.instances.map((number) => topology.instances[number]!)
}
