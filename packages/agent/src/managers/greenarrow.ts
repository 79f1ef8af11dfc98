import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { GreenarrowDefinition, GreenarrowMta } from '@filo/protocol'
import { describeExit, look } from '../exec.ts'
import { daemontools } from './daemontools.ts'
import { gatherEach } from './gathered.ts'
import {
  judgeMta,
  judgePostgres,
  readGreenarrowStatus,
  unknown,
  type GreenarrowStatus,
  type Supervised,
} from './greenarrow-status.ts'
import { attemptByScript, isMissing, missing } from './lsb-script.ts'
import type { Act, Attempt, Manager, Sighting } from './manager.ts'

// GreenArrow Engine, by the programs that its manual names: hvmail_init for the MTA, hvmail_postgres_manager for
// PostgreSQL and what depends on it. The state of both is in one table, that of `hvmail_init status`.

export const greenarrow: Manager<GreenarrowDefinition> = {
  kind: 'greenarrow',
  observe,
  start,
  stop,
  // The manager of PostgreSQL resumes what it stopped or paused itself only when it is told to start.
  owesStart: ({ part }) => part === 'postgres',
}

const statusTimeoutMs = 8000
/** How often the table is asked for while a start or the disk queue is waited for: each is a run of hvmail_init. */
const lookAgainMs = 1000

async function observe(
  definitions: readonly GreenarrowDefinition[],
  signal: AbortSignal,
): Promise<Sighting[]> {
  return await Promise.all(
    definitions.map(async (definition) => {
      const status = await askTogether(definition.hvmailInit, signal)
      if ('state' in status) return status
      return definition.part === 'mta'
        ? judgeMta(status, await askSupervise(status, definition, signal), definition)
        : judgePostgres(status, definition.component)
    }),
  )
}

/** The table, or what can be said where there is none. */
async function askStatus(hvmailInit: string, signal: AbortSignal): Promise<GreenarrowStatus | Sighting> {
  const { exit, stdout } = await look([hvmailInit, 'status'], { signal, timeoutMs: statusTimeoutMs })
  if (isMissing(exit)) return missing(hvmailInit, describeExit(exit))
  if (exit.kind !== 'exited') return unknown(`${hvmailInit} status: ${describeExit(exit)}`)
  return (
    readGreenarrowStatus(stdout) ??
    unknown(`${hvmailInit} status (${describeExit(exit)}) printed no table that can be read: run it by hand`)
  )
}

const askTogether = gatherEach(
  (hvmailInit: string) => hvmailInit,
  askStatus,
  (hvmailInit) => unknown(`${hvmailInit} status: cut short`),
)

/** Each component as daemontools sees it, in the directory where the disk queue's service is. */
async function askSupervise(
  { components }: GreenarrowStatus,
  { diskQueue }: GreenarrowMta,
  signal: AbortSignal,
): Promise<Supervised> {
  const names = components.map(({ name }) => name)
  const seen = await seeServices(
    names.map((name) => join(dirname(diskQueue), name)),
    signal,
  )
  return new Map(names.map((name, at) => [name, seen[at]!.state]))
}

async function seeServices(services: readonly string[], signal: AbortSignal): Promise<Sighting[]> {
  return await daemontools.observe(
    services.map((service) => ({ kind: 'daemontools', service })),
    signal,
  )
}

/** For the MTA ends when all of its components are up: some come up after hvmail_init has returned. */
async function start(definition: GreenarrowDefinition, action: Act): Promise<Attempt> {
  if (definition.part === 'postgres') {
    return await attemptByScript([definition.postgresManager, 'start'], 'start', action)
  }
  const attempt = await attemptByScript([definition.hvmailInit, 'start'], 'start', action)
  let said = ''
  while (attempt.accepted && !action.signal.aborted) {
    const [seen] = await observe([definition], action.signal)
    if (seen!.state === 'running') break
    if (seen!.detail !== said) action.onLine(seen!.detail)
    said = seen!.detail
    await pause(action.signal)
  }
  return attempt
}

async function stop(definition: GreenarrowDefinition, action: Act): Promise<Attempt> {
  if (definition.part === 'postgres') {
    return await attemptByScript([definition.postgresManager, 'stop'], 'stop', action)
  }
  const attempt = await attemptByScript([definition.hvmailInit, 'stop'], 'stop', action)
  if (attempt.accepted) await awaitDiskQueue(definition, action)
  return attempt
}

async function awaitDiskQueue(definition: GreenarrowMta, { signal, onLine }: Act): Promise<void> {
  const startedAt = performance.now()
  const { diskQueue, diskQueueWaitMs } = definition
  for (let isSaid = false; !signal.aborted; isSaid = true) {
    const [seen] = await seeServices([diskQueue], signal)
    if (seen!.state !== 'stopping') return
    if (performance.now() - startedAt >= diskQueueWaitMs) {
      onLine(
        `the disk queue has not ended within ${diskQueueWaitMs / 1000} s: that does no harm, and is not waited for`,
      )
      return
    }
    if (!isSaid) onLine('the disk queue is ending: it writes down when to try its messages again')
    await pause(signal)
  }
}

/** Returns early where the action's time is up. */
async function pause(signal: AbortSignal): Promise<void> {
  await delay(lookAgainMs, undefined, { signal }).catch(() => {})
}
