import {
  AddressInUse,
  BrokerUnavailable,
  DamagedDatabase,
  isBusy,
  SecretsUnusable,
  systemClock,
  TlsUnusable,
} from '@filo/protocol'
import { HostInUse } from '../engine/connection.ts'
import { RunTakenOver, type RunOwner } from '../engine/journal.ts'
import { KeyError } from '../engine/keys.ts'
import { RunInUse } from '../engine/orders.ts'
import { RunBroken } from './carry.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { formatTable } from './table.ts'
import { formatMoment } from './when.ts'

/** What a command that threw says and exits with. The one place where errors become words and codes. */
export function explainFailure(error: unknown): { readonly code: ExitCode; readonly words: string } {
  if (error instanceof Exit) return { code: error.code, words: error.message }
  const known = explainKnown(error)
  if (known !== undefined) return known
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
  if (isBusy(cause)) {
    const words = 'another filo process has had the journal locked for 10 s: it is frozen, or its disk is'
    return { code: exitCodes.inUse, words: `${words}. Find it with: ps -C node -o pid,stat,args\n${ways}` }
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

function explainKnown(error: unknown): ReturnType<typeof explainFailure> | undefined {
  const inUse = (words: string) => ({ code: exitCodes.inUse, words })
  if (error instanceof BrokerUnavailable) {
    const words = `${error.message}\nNo agent could be reached; see what is wrong with: filo doctor`
    return { code: exitCodes.brokerUnavailable, words }
  }
  if (error instanceof DamagedDatabase) return { code: exitCodes.internalError, words: explainDamage(error) }
  if (error instanceof SecretsUnusable) {
    const words = `${error.message}\nPut it right, one secret a line ("secrets:" in the fleet file names it). Nothing was done`
    return { code: exitCodes.configuration, words }
  }
  if (error instanceof TlsUnusable) {
    const words = `${error.message}\nThe files of TLS are those of "broker:" in the fleet file. Nothing was done`
    return { code: exitCodes.configuration, words }
  }
  if (error instanceof KeyError) return { code: exitCodes.configuration, words: error.message }
  if (error instanceof RunInUse) return inUse(explainRunInUse(error))
  if (error instanceof HostInUse) return inUse(explainHostInUse(error))
  if (error instanceof RunTakenOver) return inUse(explainTakenOver(error))
  if (error instanceof AddressInUse) return inUse(error.message)
  return undefined
}

function explainDamage({ message, path }: DamagedDatabase): string {
  return (
    `${message}\n` +
    'No run is carried on from a record that is in doubt. Nothing was sent, and nothing was changed in it; what agents have begun goes on, and they keep what came of it.\n' +
    `See whether the disk is failing; then move the record away (mv ${path}* to another directory). ` +
    'What everything is doing is told by: filo status. A host that a lost run still holds is taken over by ordering anew what is left to do, and: filo resume --take-over'
  )
}

function explainRunInUse({ run, owner }: RunInUse): string {
  const ways = formatTable(
    ['What to type next:', ''],
    [
      [`  filo show ${run}`, 'see how far it is; wait until it has ended'],
      [`  filo cancel ${run}`, 'have it send nothing new'],
      [`  filo resume ${run} --take-over`, 'carry on in its place, if that process stands still'],
    ],
  )
  return `${run} is being carried out${by(owner)}. Nothing was done.\n\n${ways.join('\n')}`
}

/** With `broker: local` that process is the host's agent too: only its end frees the host. */
function explainHostInUse({ host, run, owner, message }: HostInUse): string {
  if (run === undefined) return `${message}. Nothing was done; see who holds what with: filo locks`
  const ways = formatTable(
    ['What to type next:', ''],
    [
      [`  filo show ${run}`, 'see how far it is; wait until it has ended'],
      [`  filo cancel ${run}`, 'have it send nothing new'],
      ...(owner === undefined
        ? []
        : [
            [
              `  kill -9 ${owner.pid}`,
              `if that process stands still; then: filo resume ${run}. Services are not touched`,
            ],
          ]),
    ],
  )
  return `${host} is held by ${run}, which is being carried out${by(owner)}. Nothing was done.\n\n${ways.join('\n')}`
}

function explainTakenOver({ run, owner }: RunTakenOver): string {
  return (
    `${run} has been taken over${by(owner)}: this process has sent nothing since, and ends. What it had sent goes on at ` +
    `the agents, and the other asks them what comes of it; how it stands: filo show ${run}`
  )
}

/** ` by alice@admin1 since 03:15:00 (process 4711)` */
function by(owner: RunOwner | undefined): string {
  if (owner === undefined) return ' by another process'
  const since = formatMoment(owner.since, systemClock.wall())
  return ` by ${owner.operator} since ${since} (process ${owner.pid})`
}
