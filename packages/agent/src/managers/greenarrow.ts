import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DaemontoolsDefinition, GreenarrowDefinition, GreenarrowMta } from '@filo/protocol'
import { describeExit } from '../exec.ts'
import { direct, type Runner } from '../runner.ts'
import { Daemontools } from './daemontools.ts'
import { gatherEach } from './gathered.ts'
import {
  judgeMta,
  judgePostgres,
  readGreenarrowStatus,
  unknown,
  type GreenarrowStatus,
  type Supervised,
} from './greenarrow-status.ts'
import { attemptByScript, isMissing, missing, scriptCommands } from './lsb-script.ts'
import { anyName, type Act, type Attempt, type Manager, type RootCommand, type Sighting } from './manager.ts'

// GreenArrow Engine, by the programs that its manual names: hvmail_init for the MTA, hvmail_postgres_manager for
// PostgreSQL and what depends on it. The state of both is in one table, that of `hvmail_init status`.

/** How often the table is asked for while a start or the disk queue is waited for: each is a run of hvmail_init. */
const lookAgainMs = 1000
const statusTimeoutMs = 8000

export class Greenarrow implements Manager<GreenarrowDefinition> {
  readonly kind = 'greenarrow'
  readonly #runner: Runner
  readonly #daemontools: Manager<DaemontoolsDefinition>
  readonly #askTogether = gatherEach(
    (hvmailInit: string) => hvmailInit,
    (hvmailInit, signal) => this.#askStatus(hvmailInit, signal),
    (hvmailInit) => unknown(`${hvmailInit} status: cut short`),
  )

  constructor(runner = direct) {
    this.#runner = runner
    this.#daemontools = new Daemontools(runner)
  }

  async observe(definitions: readonly GreenarrowDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    return await Promise.all(
      definitions.map(async (definition) => {
        const status = await this.#askTogether(definition.hvmailInit, signal)
        if ('state' in status) return status
        return definition.part === 'mta'
          ? judgeMta(status, await this.#askSupervise(status, definition, signal), definition)
          : judgePostgres(status, definition.component)
      }),
    )
  }

  /** For the MTA ends when all of its components are up: some come up after hvmail_init has returned. */
  async start(definition: GreenarrowDefinition, action: Act): Promise<Attempt> {
    const attempt = await attemptByScript(this.#runner, argvOf(definition, 'start'), 'start', action)
    if (definition.part === 'postgres') return attempt
    let said = ''
    while (attempt.accepted && !action.signal.aborted) {
      const [seen] = await this.observe([definition], action.signal)
      if (seen!.state === 'running') break
      if (seen!.detail !== said) action.onLine(seen!.detail)
      said = seen!.detail
      await pause(action.signal)
    }
    return attempt
  }

  async stop(definition: GreenarrowDefinition, action: Act): Promise<Attempt> {
    const attempt = await attemptByScript(this.#runner, argvOf(definition, 'stop'), 'stop', action)
    if (definition.part === 'mta' && attempt.accepted) await this.#awaitDiskQueue(definition, action)
    return attempt
  }

  /** The manager of PostgreSQL resumes what it stopped or paused itself only when it is told to start. */
  owesStart({ part }: GreenarrowDefinition): boolean {
    return part === 'postgres'
  }

  /**
   * Which components the MTA has is known to its host alone. So svstat, which changes nothing, is asked for whatever there is
   * in the directory of its services.
   */
  rootCommands(definition: GreenarrowDefinition): readonly RootCommand[] {
    const scripts = scriptCommands({ start: argvOf(definition, 'start'), stop: argvOf(definition, 'stop') })
    const status = {
      kind: 'look',
      argv: [definition.hvmailInit, 'status'],
      timeoutMs: statusTimeoutMs,
    } as const
    if (definition.part === 'postgres') return [...scripts, status]
    const anyService = join(dirname(definition.diskQueue), anyName)
    const svstats = this.#daemontools
      .rootCommands({ kind: 'daemontools', service: anyService })
      .filter(({ kind }) => kind === 'look')
    return [...scripts, status, ...svstats]
  }

  /** The table, or what can be said where there is none. */
  async #askStatus(hvmailInit: string, signal: AbortSignal): Promise<GreenarrowStatus | Sighting> {
    const bounds = { signal, timeoutMs: statusTimeoutMs }
    const { exit, stdout } = await this.#runner.look([hvmailInit, 'status'], bounds)
    if (isMissing(exit)) return missing(hvmailInit, describeExit(exit))
    if (exit.kind !== 'exited') return unknown(`${hvmailInit} status: ${describeExit(exit)}`)
    return (
      readGreenarrowStatus(stdout) ??
      unknown(
        `${hvmailInit} status (${describeExit(exit)}) printed no table that can be read: run it by hand`,
      )
    )
  }

  /** Each component as daemontools sees it, in the directory where the disk queue's service is. */
  async #askSupervise(
    { components }: GreenarrowStatus,
    { diskQueue }: GreenarrowMta,
    signal: AbortSignal,
  ): Promise<Supervised> {
    const names = components.map(({ name }) => name)
    const seen = await this.#seeServices(
      names.map((name) => join(dirname(diskQueue), name)),
      signal,
    )
    return new Map(names.map((name, at) => [name, seen[at]!.state]))
  }

  async #seeServices(services: readonly string[], signal: AbortSignal): Promise<Sighting[]> {
    return await this.#daemontools.observe(
      services.map((service) => ({ kind: 'daemontools', service })),
      signal,
    )
  }

  async #awaitDiskQueue(definition: GreenarrowMta, { signal, onLine }: Act): Promise<void> {
    const startedAt = performance.now()
    const { diskQueue, diskQueueWaitMs } = definition
    for (let isSaid = false; !signal.aborted; isSaid = true) {
      const [seen] = await this.#seeServices([diskQueue], signal)
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
}

function argvOf(definition: GreenarrowDefinition, verb: 'start' | 'stop'): string[] {
  return [definition.part === 'postgres' ? definition.postgresManager : definition.hvmailInit, verb]
}

/** Returns early where the action's time is up. */
async function pause(signal: AbortSignal): Promise<void> {
  await delay(lookAgainMs, undefined, { signal }).catch(() => {})
}
