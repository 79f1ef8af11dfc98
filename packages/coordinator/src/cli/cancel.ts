import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

export async function cancel(
  _context: Context,
  _run: string,
  _options: { readonly abort?: true; readonly reason?: string },
): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
