import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

export async function doctor(_context: Context): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
