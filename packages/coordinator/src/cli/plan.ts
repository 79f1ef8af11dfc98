import { planHash } from '../engine/orders.ts'
import { hint } from '../fleet/problem.ts'
import { explain } from '../plan/explain.ts'
import { forecast, type Forecast } from '../plan/forecast.ts'
import { stepName, type Intention, type Plan } from '../plan/plan.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { layPlan, lookAtPlan } from './lay-plan.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { writePlanFile } from './plan-file.ts'
import { planView } from './plan-view.ts'
import { printJson, printLines } from './print.ts'

export interface PlanOptions {
  readonly only?: true
  readonly label: readonly string[]
  readonly output?: string
  readonly offline?: true
  readonly explain?: string
  readonly detailedExitcode?: true
}

/** Shows what a verb would do. Changes nothing; asks the agents only what is running. */
export async function plan(
  context: Context,
  verb: Intention['verb'],
  selection: readonly string[],
  options: PlanOptions,
): Promise<ExitCode> {
  if (options.offline && options.detailedExitcode) {
    const why = 'only the agents know whether there is something to do'
    throw new Exit(exitCodes.usage, `--detailed-exitcode does not go with --offline: ${why}`)
  }
  const { only = false, label } = options
  if (only && (verb === 'reboot' || verb === 'halt')) {
    throw new Exit(
      exitCodes.usage,
      `--only does not go with ${verb}: a host that goes down takes with it all that needs it`,
    )
  }
  const intention = { verb, selection: [...selection], labels: [...label], only }
  const isOffline = options.offline ?? false
  const { planned, foreseen } = await foresee(context, loadFleet(context), intention, isOffline)
  if (options.output !== undefined) writePlanFile(options.output, planned)
  if (options.explain === undefined) showPlan(context, planned, foreseen)
  else explainStep(context, planned, options.explain)
  if (options.output !== undefined) {
    context.stderr.write(`wrote ${options.output}; carry it out with: filo apply ${options.output}\n`)
  }
  return options.detailedExitcode && foreseen ? detailedCode(foreseen) : exitCodes.done
}

async function foresee(
  context: Context,
  loaded: LoadedFleet,
  intention: Intention,
  isOffline: boolean,
): Promise<{ readonly planned: Plan; readonly foreseen?: Forecast }> {
  if (isOffline) return { planned: await layPlan(loaded, intention, undefined) }
  await using connection = await openConnection(context, loaded)
  const planned = await layPlan(loaded, intention, connection)
  return { planned, foreseen: forecast(planned, await lookAtPlan(loaded, connection, planned)) }
}

function showPlan({ stdout, format }: Context, planned: Plan, foreseen: Forecast | undefined): void {
  if (format === 'json') return printJson(stdout, planDocument(planned, foreseen))
  const { colors, columns, isTerminal } = stdout
  printLines(stdout, planView(planned, foreseen, { colors, ...(isTerminal && { columns }) }))
}

/** What `filo plan --format json` prints. */
export function planDocument(planned: Plan, foreseen: Forecast | undefined) {
  const steps = planned.steps.map((step, index) => ({
    step: stepName(step),
    host: step.host,
    why: explain(planned, index),
    ...(foreseen && { forecast: foreseen.steps[index]! }),
  }))
  const problems = foreseen?.problems ?? []
  return { hash: planHash(planned), steps, problems, plan: planned }
}

function explainStep({ stdout, format }: Context, planned: Plan, name: string): void {
  const names = planned.steps.map(stepName)
  const index = names.indexOf(name)
  if (index === -1) {
    throw new Exit(exitCodes.nothingMatched, `the plan has no step "${name}"${hint(name, names)}`)
  }
  const why = explain(planned, index)
  if (format === 'json') printJson(stdout, { step: name, why })
  else printLines(stdout, [`${name}:`, ...why.map((sentence) => `  ${sentence}`)])
}

/** What is to do outweighs what is unclear: the run will find that out. */
function detailedCode({ steps }: Forecast): ExitCode {
  if (steps.some(({ kind }) => kind === 'change' || kind === 'hold')) return exitCodes.changes
  return steps.some(({ kind }) => kind === 'unclear') ? exitCodes.unknown : exitCodes.done
}
