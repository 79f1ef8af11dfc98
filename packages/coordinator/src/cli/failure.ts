import { LedgerInUse } from '@filo/agent'
import { AddressInUse, BrokerUnavailable } from '@filo/protocol'
import { HostInUse } from '../engine/connection.ts'
import { KeyError } from '../engine/keys.ts'
import { RunInUse } from '../engine/orders.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'

/** What a command that threw says and exits with. The one place where errors become words and codes. */
export function explainFailure(error: unknown): { readonly code: ExitCode; readonly words: string } {
  if (error instanceof Exit) return { code: error.code, words: error.message }
  const known = knownFailures.find(({ kind }) => error instanceof kind)
  if (known !== undefined) {
    return { code: known.code, words: `${(error as Error).message}${known.advice}` }
  }
  const { code, path } = error as NodeJS.ErrnoException
  if ((code === 'EACCES' || code === 'EPERM') && path !== undefined) {
    return { code: exitCodes.notPermitted, words: `you may not use ${path} (${code})` }
  }
  const stack = error instanceof Error ? error.stack : String(error)
  return {
    code: exitCodes.internalError,
    words:
      `internal error: ${stack}\n` +
      'What was done is in the journal, which is intact: "filo runs" names the run, "filo resume RUN" carries it on.',
  }
}

const knownFailures: readonly {
  readonly kind: new (message?: string) => Error
  readonly code: ExitCode
  readonly advice: string
}[] = [
  {
    kind: BrokerUnavailable,
    code: exitCodes.brokerUnavailable,
    advice: '\nNo agent could be reached; see what is wrong with: filo doctor',
  },
  { kind: KeyError, code: exitCodes.configuration, advice: '' },
  {
    kind: HostInUse,
    code: exitCodes.inUse,
    advice: '; wait until it has ended, or see what it does with: filo runs',
  },
  {
    kind: RunInUse,
    code: exitCodes.inUse,
    advice: '; wait until it has ended, or end it with: filo cancel RUN',
  },
  { kind: LedgerInUse, code: exitCodes.inUse, advice: '; wait until it has ended' },
  { kind: AddressInUse, code: exitCodes.inUse, advice: '' },
]
