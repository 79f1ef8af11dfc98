import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

export async function status(
  _context: Context,
  _selection: readonly string[],
  _options: { readonly label: readonly string[] },
): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
