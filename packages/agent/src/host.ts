import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { Redactor, Relay, systemClock, type HostDefinition, type Transport } from '@filo/protocol'
import type { Logger } from 'pino'
import { Agent, type AgentIdentity } from './agent.ts'
import { readLedger } from './ledger-reader.ts'
import { Ledger } from './ledger.ts'
import { createManagers } from './managers/all.ts'
import { Observer, type Managers } from './observer.ts'
import { readPolicy } from './policy-file.ts'
import { noPolicy } from './policy.ts'
import { probeReady } from './probe.ts'
import { isGroupAlive, isLeaderAlive, killGroup } from './process-group.ts'
import { rightsOf } from './rights.ts'
import { bySudo, direct } from './runner.ts'
import { noScopes, openScopes } from './scope.ts'

export interface HostOptions {
  readonly definition: HostDefinition
  readonly identity: AgentIdentity
  readonly transport: Transport
  /** Where the ledger and the output of services are. */
  readonly stateDir: string
  /** Whether the agent acts, and has the ledger to itself; else it only observes. */
  readonly isActing: boolean
  /** Whether events go to the transport's event log. */
  readonly isRelayed: boolean
  readonly log: Logger
  /** Knows the host's secrets; by default only what secrets look like. */
  readonly redactor?: Redactor
  /** The boot that the host is in. */
  readonly boot: string
  /** Those of the real machine by default. */
  readonly managers?: Managers
  /** Where the host's own policy is; undefined where the coordinator's process is its agent. */
  readonly policyFile?: string
  /** Whether what needs root is run by sudo. */
  readonly isBySudo?: boolean
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
  const {
    definition,
    identity,
    transport,
    stateDir,
    isActing,
    log,
    redactor = new Redactor(),
    policyFile,
  } = options
  const runner = options.isBySudo ? bySudo : direct
  const { managers = createManagers(runner) } = options
  const outputDir = join(stateDir, 'output')
  const ledgerFile = join(stateDir, 'ledger.db')
  if (isActing) mkdirSync(outputDir, { recursive: true, mode: 0o700 })
  await using stack = new AsyncDisposableStack()
  const ledger = isActing
    ? stack.use(Ledger.open(ledgerFile, definition.host, systemClock, randomUUID, redactor))
    : null
  if (ledger !== null && options.isRelayed) {
    stack.use(new Relay(ledger.audit, transport))
  }
  const scopes = isActing ? await openScopes(runner) : noScopes
  if (scopes.why !== undefined) {
    log.warn(
      { why: scopes.why },
      'scripts share the control group of the agent: its unit needs KillMode=process',
    )
  }
  const world = {
    clock: systemClock,
    observer: new Observer(
      managers,
      (ready, signal, timeoutMs) => probeReady(ready, signal, timeoutMs, runner),
      systemClock,
    ),
    managers,
    processes: {
      act: runner.act,
      look: runner.look,
      isGroupAlive,
      isLeaderAlive,
      killGroup,
      scopeFor: scopes.argvFor,
    },
    transport,
    log,
    redactor,
    boot: options.boot,
    outputDir,
    ...(runner.isBySudo && { rights: rightsOf(definition, managers, scopes.isScoped) }),
    policy: () => (policyFile === undefined ? noPolicy : readPolicy(policyFile)),
  }
  const { rejected } = stack.use(
    await Agent.open(world, definition, identity, ledger ?? (() => readLedger(ledgerFile))),
  )
  const disposal = stack.move()
  return { rejected, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}
