import { forecast } from '../plan/forecast.ts'
import type { Plan } from '../plan/plan.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes } from './exit-code.ts'
import { lookAtPlan } from './lay-plan.ts'
import type { LoadedFleet } from './load-fleet.ts'
import { counted, describeIntention, planView } from './plan-view.ts'

/** Refuses to change anything where nobody can be asked and nobody has said --yes. Throws Exit. */
export function refuseUnlessAskable(context: Context, { yes }: { readonly yes?: true }): void {
  if (yes || context.canAsk) return
  throw new Exit(
    exitCodes.usage,
    'nothing was done: there is no terminal to ask on; to go ahead without being asked add --yes',
  )
}

/** Shows what is about to be done, and asks. Throws Exit on a no. */
export async function confirm(
  context: Context,
  { yes }: { readonly yes?: true },
  show: () => Promise<readonly string[]> | readonly string[],
): Promise<void> {
  if (yes) return
  context.stderr.write(`${(await show()).join('\n')}\n\n`)
  if (await context.ask('Go ahead?')) return
  throw new Exit(exitCodes.resumable, 'nothing was done')
}

/** Shows a plan with what it would find now, and asks; with --yes only says what it is. Throws Exit on a no. */
export async function confirmPlan(
  context: Context,
  loaded: LoadedFleet,
  plan: Plan,
  choices: { readonly yes?: true },
): Promise<void> {
  const hosts = new Set(plan.steps.map(({ host }) => host)).size
  if (choices.yes) {
    const size = `${counted(plan.steps.length, 'step')} on ${counted(hosts, 'host')}`
    context.stderr.write(`${describeIntention(plan.intention, plan.fleet)}: ${size}\n`)
  }
  await confirm(context, choices, async () => {
    await using connection = await openConnection(context, loaded)
    return planView(plan, forecast(plan, await lookAtPlan(loaded, connection, plan)), context.stderr)
  })
}
