import { randomUUID } from 'node:crypto'
import { Relay, systemClock, type Transport } from '@filo/protocol'
import type { Fleet } from '../fleet/fleet.ts'
import { openBroker } from './broker.ts'
import type { Journal, RunOwner } from './journal.ts'
import { readCoordinatorKeys, readHostKeys } from './keys.ts'
import { Link, type LinkIdentity } from './link.ts'
import { redactorOf } from './redactor.ts'
import type { LocalAgents } from './local-agents.ts'
import type { StateDir } from './state-dir.ts'

/** A host of a local fleet is acted on by another `filo` process. */
export class HostInUse extends Error {
  override name = 'HostInUse'
  readonly host: string
  /** The run that this process carries out, where it is known. */
  readonly run: string | undefined
  readonly owner: RunOwner | undefined

  constructor(host: string, run?: string, owner?: RunOwner) {
    super(`${host} is being acted on by another filo process`)
    this.host = host
    this.run = run
    this.owner = owner
  }
}

export interface ConnectionOptions {
  readonly fleet: Fleet
  readonly dir: StateDir
  readonly operator: string
  /** Of who acts; null for who only looks: then nothing is written, and a damaged journal is in nobody's way. */
  readonly journal: Journal | null
  /** The hosts that will be acted on; the others are only observed. Matters where this process is their agent. */
  readonly actOn: ReadonlySet<string>
  /** What agents in this process log, on stderr: a level of pino's. */
  readonly logLevel: string
}

/** A coordinator process that can speak to the agents of its fleet. */
export interface Connection extends AsyncDisposable {
  readonly link: Link
  readonly transport: Transport
}

/**
 * Connects to a fleet's agents: over its broker, or, with `broker: local`, to agents in this very process, with
 * keys that are made for it; from there on nothing differs. Throws BrokerUnavailable, TlsUnusable, KeyError, HostInUse.
 */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { fleet, dir, operator } = options
  await using stack = new AsyncDisposableStack()
  const { transport, ...keys } =
    fleet.broker === 'local'
      ? await openLocally(options, stack)
      : {
          ...fleetKeys(options),
          transport: stack.use(
            await openBroker(dir, fleet.broker, { name: `filo ${operator}`, willReceive: true }),
          ),
        }
  const link = stack.use(await openLink(options, keys, transport))
  const disposal = stack.move()
  return { link, transport, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}

/** The keys of a fleet whose hosts have agents of their own. Throws KeyError. */
export function fleetKeys({ fleet, dir }: Pick<ConnectionOptions, 'fleet' | 'dir'>): FleetKeys {
  return { keys: readCoordinatorKeys(dir.keys), hosts: readHostKeys(dir.keys, fleet.hosts.keys()) }
}

type FleetKeys = Pick<LinkIdentity, 'keys' | 'hosts'>

/** A line to the agents over a transport that is open already. Throws AddressInUse, BrokerUnavailable. */
export function openLink(
  { fleet, operator, journal }: Pick<ConnectionOptions, 'fleet' | 'operator' | 'journal'>,
  keys: FleetKeys,
  transport: Transport,
): Promise<Link> {
  const identity = {
    ...keys,
    fleet: fleet.name,
    coordinator: randomUUID(),
    operator,
    audit: journal?.audit ?? null,
    redactor: redactorOf(fleet),
  }
  return Link.open(transport, identity, systemClock, randomUUID)
}

/** Relays the journal's audit events for as long as it is not disposed; a local fleet has no event log. */
export function relayAudit(journal: Journal, fleet: Fleet, transport: Transport): Relay | undefined {
  return fleet.broker === 'local' ? undefined : new Relay(journal.audit, transport)
}

/** Agents are loaded only where they run: most coordinators have none in their process. */
async function openLocally(options: ConnectionOptions, stack: AsyncDisposableStack): Promise<LocalAgents> {
  const { openLocalAgents } = await import('./local-agents.ts')
  return await openLocalAgents(options, stack)
}
