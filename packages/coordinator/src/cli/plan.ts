import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import type { Intention } from '../plan/plan.ts'

export interface PlanOptions {
  readonly only?: true
  readonly label: readonly string[]
  readonly output?: string
  readonly offline?: true
  readonly explain?: string
  readonly detailedExitcode?: true
}

export async function plan(
  _context: Context,
  _verb: Intention['verb'],
  _selection: readonly string[],
  _options: PlanOptions,
): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
