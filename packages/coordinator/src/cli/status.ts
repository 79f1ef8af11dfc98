import { systemClock } from '@filo/protocol'
import type { Connection } from '../engine/connection.ts'
import { select } from '../fleet/selection.ts'
import type { Instance, Topology } from '../fleet/topology.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import { endingSignal } from './ending-signal.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { look } from './look.ts'
import { printJson, printJsonLines, printLines } from './print.ts'
import { statusCode, statusRows, statusView } from './status-view.ts'

export interface StatusOptions {
  readonly label: readonly string[]
  readonly watch?: true
}

const watchEveryMs = 2000
/** ECMA-48: the cursor to the first line, and all below it away. */
const clearScreen = '\u001B[H\u001B[J'

/** Shows what every selected instance is doing; with `--watch` again and again. Looks, and changes nothing. */
export async function status(
  context: Context,
  selection: readonly string[],
  { label, watch }: StatusOptions,
): Promise<ExitCode> {
  const loaded = loadFleet(context)
  const instances = selectInstances(loaded.topology, selection, label)
  await using connection = await openConnection(context, loaded)
  if (!watch) return await show(context, loaded, connection, instances)
  const ending = endingSignal()
  for (;;) {
    const code = await show(context, loaded, connection, instances, clearScreen)
    await systemClock.sleep(watchEveryMs, ending).catch(() => {})
    if (ending.aborted) return code
  }
}

async function show(
  { stdout, format }: Context,
  loaded: LoadedFleet,
  connection: Connection,
  instances: readonly Instance[],
  before = '',
): Promise<ExitCode> {
  const wanted = instances.map(({ service, host }) => ({ service: service.name, host }))
  const { fleet } = loaded
  const seen = await look(loaded, connection, wanted)
  const now = systemClock.wall()
  const rows = statusRows(instances, seen)
  const hosts = [...seen.hosts.values()]
  if (format === 'jsonl') printJsonLines(stdout, rows)
  else if (format === 'json') {
    printJson(stdout, { fleet: fleet.name, at: now.toISOString(), instances: rows, hosts })
  } else {
    const { colors, columns, isTerminal } = stdout
    if (isTerminal) stdout.write(before)
    printLines(stdout, statusView(rows, hosts, { colors, now, ...(isTerminal && { columns }) }))
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
