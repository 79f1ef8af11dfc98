import type { SessionChoices } from './carry.ts'
import { confirmAndCarry } from './change.ts'
import type { Context } from './context.ts'
import type { ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { readPlanFile } from './plan-file.ts'

/** `filo apply FILE`: the plan that was read is the plan that runs (P6). */
export async function apply(context: Context, file: string, choices: SessionChoices): Promise<ExitCode> {
  const loaded = loadFleet(context)
  const plan = readPlanFile(file, loaded.fleet.name)
  return await confirmAndCarry(context, loaded, plan, choices)
}
