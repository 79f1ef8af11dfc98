import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

export async function show(_context: Context, _run: string): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
