import { mkdirSync } from 'node:fs'
import { LedgerInUse, openHost, openLog } from '@filo/agent'
import {
  makeKeyPair,
  MemoryBroker,
  readBootId,
  type SigningKey,
  type Transport,
  type VerifyingKey,
} from '@filo/protocol'
import { pino } from 'pino'
import { hostDefinition } from '../fleet/fleet.ts'
import { HostInUse, type ConnectionOptions } from './connection.ts'
import { redactorOf } from './redactor.ts'

/** The agents of a local fleet, and the coordinator's end of what joins them. */
export interface LocalAgents {
  readonly transport: Transport
  readonly keys: readonly SigningKey[]
  readonly hosts: ReadonlyMap<string, VerifyingKey>
}

/** Opens the agents of all hosts in this process; closing `stack` closes them. Throws HostInUse. */
export async function openLocalAgents(
  { fleet, dir, actOn, logLevel }: ConnectionOptions,
  stack: AsyncDisposableStack,
): Promise<LocalAgents> {
  const redactor = redactorOf(fleet)
  const log = openLog(redactor, { level: logLevel }, pino.destination({ fd: 2, sync: true }))
  const transport = stack.use(new MemoryBroker().connect())
  const own = makeKeyPair()
  const hosts = new Map<string, VerifyingKey>()
  for (const host of fleet.hosts.keys()) {
    const pair = makeKeyPair()
    hosts.set(host, pair.verifying)
    const stateDir = dir.host(host)
    const isActing = actOn.has(host)
    if (isActing) mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    const identity = {
      key: pair.signing,
      trusted: (id: string) => (id === own.verifying.id ? own.verifying : undefined),
    }
    const definition = hostDefinition(fleet, host)
    try {
      stack.use(
        await openHost({
          definition,
          identity,
          transport,
          stateDir,
          isActing,
          isRelayed: false,
          boot: readBootId(),
          redactor,
          log: log.child({ host }),
        }),
      )
    } catch (error) {
      if (!(error instanceof LedgerInUse)) throw error
      throw new HostInUse(host)
    }
  }
  return { transport, keys: [own.signing], hosts }
}
