import { fleetGraph, hostFlowchart, serviceFlowchart } from '../fleet/graph.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printJson } from './print.ts'

/** Draws who needs whom, for Mermaid or as data. */
export async function graph(context: Context, options: { readonly hosts?: true }): Promise<ExitCode> {
  const { fleet } = loadFleet(context)
  if (context.format === 'json') printJson(context.stdout, fleetGraph(fleet))
  else context.stdout.write(options.hosts ? hostFlowchart(fleet) : serviceFlowchart(fleet))
  return exitCodes.done
}
