import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

export async function followAudit(
  _context: Context,
  _options: { readonly consumer: string; readonly type?: string; readonly host?: string },
): Promise<ExitCode> {
  await Promise.resolve()
  throw new Exit(exitCodes.internalError, 'not there yet')
}
