import { AddressInUse, BrokerUnavailable } from '@filo/protocol'
import { HostInUse } from '../engine/connection.ts'
import { KeyError } from '../engine/keys.ts'
import { RunInUse } from '../engine/orders.ts'
import { RunBroken } from './carry.ts'
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
  const cause = error instanceof RunBroken ? error.cause : error
  const ways =
    error instanceof RunBroken
      ? `The journal of ${error.run} is intact, and what was sent goes on at the agents; carry on with: filo resume ${error.run}`
      : 'The journals of runs are intact.'
  if (isStorageFailure(cause)) {
    const words = `the state directory (--state, FILO_STATE) cannot be written, and what cannot be recorded is not done: ${cause.message}`
    return { code: exitCodes.internalError, words: `${words}\nMake room there, or put it right. ${ways}` }
  }
  const stack = cause instanceof Error ? cause.stack : String(cause)
  return { code: exitCodes.internalError, words: `internal error: ${stack}\n${ways}` }
}

/** SQLite's primary result codes READONLY, IOERR, FULL, CANTOPEN (https://sqlite.org/rescode.html); a file's errors. */
const sqliteStorageCodes: ReadonlySet<unknown> = new Set([8, 10, 13, 14])
const fileStorageCodes: ReadonlySet<unknown> = new Set(['ENOSPC', 'EROFS', 'EDQUOT', 'EIO'])

function isStorageFailure(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const { errcode, code } = error as { errcode?: unknown; code?: unknown }
  const primary = typeof errcode === 'number' ? errcode & 0xff : undefined
  return sqliteStorageCodes.has(primary) || fileStorageCodes.has(code)
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
  { kind: AddressInUse, code: exitCodes.inUse, advice: '' },
]
