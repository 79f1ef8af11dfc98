import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { LedgerInUse, openHost } from '@filo/agent'
import {
  makeKeyPair,
  MemoryBroker,
  openTransport,
  relay,
  systemClock,
  type SigningKey,
  type Transport,
  type VerifyingKey,
} from '@filo/protocol'
import type { Logger } from 'pino'
import { hostDefinition, type Fleet } from '../fleet/fleet.ts'
import type { Journal } from './journal.ts'
import { readCoordinatorKey, readHostKeys } from './keys.ts'
import { Link } from './link.ts'
import type { StateDir } from './state-dir.ts'

/** A host of a local fleet is acted on by another `filo` process. */
export class HostInUse extends Error {
  override name = 'HostInUse'
}

export interface ConnectionOptions {
  readonly fleet: Fleet
  readonly dir: StateDir
  readonly operator: string
  /** The hosts that will be acted on; the others are only observed. Matters where this process is their agent. */
  readonly actOn: ReadonlySet<string>
  readonly log: Logger
}

/** A coordinator process that can speak to the agents of its fleet. */
export interface Connection extends AsyncDisposable {
  readonly link: Link
  readonly transport: Transport
}

/**
 * Connects to a fleet's agents: over its broker, or, with `broker: local`, to agents in this very process, with
 * keys that are made for it; from there on nothing differs. Throws BrokerUnavailable, KeyError, HostInUse.
 */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { fleet, dir, operator } = options
  const coordinator = randomUUID()
  await using stack = new AsyncDisposableStack()
  const { transport, key, hosts } =
    fleet.broker === 'local'
      ? await openLocally(options, stack)
      : {
          key: readCoordinatorKey(dir.keys),
          hosts: readHostKeys(dir.keys, fleet.hosts.keys()),
          transport: stack.use(await openTransport(fleet.broker, { name: `filo ${operator}` })),
        }
  const identity = { fleet: fleet.name, coordinator, operator, key, hosts }
  const link = stack.use(await Link.open(transport, identity, systemClock, randomUUID))
  const disposal = stack.move()
  return { link, transport, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}

/** Relays the journal's audit events for as long as it is not disposed; a local fleet has no event log. */
export function relayAudit(journal: Journal, fleet: Fleet, transport: Transport): AsyncDisposable {
  const ending = new AbortController()
  const relaying =
    fleet.broker === 'local' ? Promise.resolve() : relay(journal.audit, transport, ending.signal)
  return {
    async [Symbol.asyncDispose]() {
      ending.abort()
      await relaying
    },
  }
}

interface Opened {
  readonly transport: Transport
  readonly key: SigningKey
  readonly hosts: ReadonlyMap<string, VerifyingKey>
}

async function openLocally(options: ConnectionOptions, stack: AsyncDisposableStack): Promise<Opened> {
  const { fleet, dir, actOn, log } = options
  const transport = stack.use(new MemoryBroker().connect())
  const own = makeKeyPair()
  const hosts = new Map<string, VerifyingKey>()
  for (const host of fleet.hosts.keys()) {
    const pair = makeKeyPair()
    hosts.set(host, pair.verifying)
    const stateDir = actOn.has(host) ? dir.host(host) : null
    if (stateDir !== null) mkdirSync(stateDir, { recursive: true, mode: 0o700 })
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
          isRelayed: false,
          log: log.child({ host }),
        }),
      )
    } catch (error) {
      if (!(error instanceof LedgerInUse)) throw error
      throw new HostInUse(`${host} is being acted on by another filo process`, { cause: error })
    }
  }
  return { transport, key: own.signing, hosts }
}
