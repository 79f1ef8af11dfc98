import type { Intention, Plan } from '../plan/plan.ts'
import { carryPlan, type SessionChoices } from './carry.ts'
import { confirmPlan, refuseUnlessAskable } from './confirm.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import type { ExitCode } from './exit-code.ts'
import { isPlannedBySight, layPlan } from './lay-plan.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'

export interface ChangeOptions extends SessionChoices {
  readonly only?: true
  readonly label: readonly string[]
}

/** `filo start|stop|restart|reboot|halt`: plans, asks, carries out. */
export async function change(
  context: Context,
  verb: Intention['verb'],
  selection: readonly string[],
  options: ChangeOptions,
): Promise<ExitCode> {
  const intention: Intention = {
    verb,
    selection: [...selection],
    labels: [...options.label],
    only: options.only ?? false,
  }
  const loaded = loadFleet(context)
  const plan = await planNow(context, loaded, intention)
  return await confirmAndCarry(context, loaded, plan, options)
}

export async function confirmAndCarry(
  context: Context,
  loaded: LoadedFleet,
  plan: Plan,
  choices: SessionChoices,
): Promise<ExitCode> {
  refuseUnlessAskable(context, choices)
  await confirmPlan(context, loaded, plan, choices)
  return await carryPlan(context, loaded, plan, choices)
}

async function planNow(context: Context, loaded: LoadedFleet, intention: Intention): Promise<Plan> {
  if (!isPlannedBySight(intention.verb)) return await layPlan(loaded, intention, undefined)
  await using connection = await openConnection(context, loaded)
  return await layPlan(loaded, intention, connection)
}
