import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import type { Intention } from '../plan/plan.ts'
import type { SessionChoices } from './carry.ts'

export interface ChangeOptions extends SessionChoices {
  readonly only?: true
  readonly label: readonly string[]
}

export async function change(
  _context: Context,
  _verb: Intention['verb'],
  _selection: readonly string[],
  _options: ChangeOptions,
): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
