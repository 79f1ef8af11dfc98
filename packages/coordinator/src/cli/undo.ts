import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import type { SessionChoices } from './carry.ts'

export async function undo(_context: Context, _run: string, _choices: SessionChoices): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
