import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { relay, systemClock, type HostDefinition, type Transport } from '@filo/protocol'
import type { Logger } from 'pino'
import { Agent, type AgentIdentity } from './agent.ts'
import * as exec from './exec.ts'
import { Ledger } from './ledger.ts'
import { createManagers } from './managers/all.ts'
import { Observer } from './observer.ts'
import { probeReady } from './probe.ts'
import { isGroupAlive, isLeaderAlive, killGroup } from './process-group.ts'

export interface HostOptions {
  readonly definition: HostDefinition
  readonly identity: AgentIdentity
  readonly transport: Transport
  /** Where the ledger and the output of services are; null for an agent that only observes. */
  readonly stateDir: string | null
  /** Whether events go to the transport's event log. */
  readonly isRelayed: boolean
  readonly log: Logger
}

/** A host that is answered for. */
export interface OpenHost extends AsyncDisposable {
  /** How often something that arrived was dropped, by why. */
  readonly rejected: ReadonlyMap<string, number>
}

/**
 * Opens the agent of a host on the real machine. Throws LedgerInUse, AddressInUse, BrokerUnavailable. Disposing it
 * touches no service: what it started lives on, and what it was doing is found out about by its successor.
 */
export async function openHost(options: HostOptions): Promise<OpenHost> {
  const { definition, identity, transport, stateDir, log } = options
  const managers = createManagers()
  const outputDir = stateDir === null ? '' : join(stateDir, 'output')
  if (stateDir !== null) mkdirSync(outputDir, { recursive: true, mode: 0o700 })
  await using stack = new AsyncDisposableStack()
  const ledger =
    stateDir === null
      ? null
      : stack.use(Ledger.open(join(stateDir, 'ledger.db'), definition.host, systemClock, randomUUID))
  if (ledger !== null && options.isRelayed) {
    const ending = new AbortController()
    const relaying = relay(ledger.audit, transport, ending.signal)
    stack.defer(async () => {
      ending.abort()
      await relaying
    })
  }
  const world = {
    clock: systemClock,
    observer: new Observer(managers, probeReady, systemClock),
    managers,
    processes: { act: exec.act, look: exec.look, isGroupAlive, isLeaderAlive, killGroup },
    transport,
    log,
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    outputDir,
  }
  const { rejected } = stack.use(await Agent.open(world, definition, identity, ledger))
  const disposal = stack.move()
  return { rejected, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}
