import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from '@filo/agent'
import { createManagers } from '../packages/agent/src/managers/all.ts'
import { mapBounded } from '../packages/agent/src/managers/bounded.ts'
import type { Managers } from '../packages/agent/src/observer.ts'
import { openTransport, type AuditEvent, type Transport, readBootId } from '@filo/protocol'
import { pino } from 'pino'
import { readHostSecret, readCoordinatorPublicKey } from '../packages/coordinator/src/engine/keys.ts'
import { openStateDir } from '../packages/coordinator/src/engine/state-dir.ts'
import { hostDefinition } from '../packages/coordinator/src/fleet/fleet.ts'
import { fleetOf } from './fleet-of.ts'
import { waiting } from './waiting-manager.ts'

// Agents of several hosts in one process: each with its own key, ledger and mailbox, as it has on a host of its own;
// they may share the connections to the broker. Says `ready` to its parent, and what it sent and received when asked.

/** What went through these agents since they were last asked. */
export interface Traffic {
  /** Messages from the coordinator, and to it. */
  received: number
  sent: number
  readonly events: AuditEvent[]
  /** Processor time of this process since it began, without that of the services; milliseconds. */
  cpuMs: number
}

/** What a process of agents is told as it begins. */
export interface Order {
  readonly fleetFile: string
  /** Where the coordinator's keys are, and where the agents keep what is theirs. */
  readonly coordinatorState: string
  readonly ownState: string
  readonly hosts: readonly string[]
  /** Services start no process and only wait for so long, milliseconds. */
  readonly waitingMs?: number
  /** Each agent has connections of its own, as it has on a host of its own; else they share some. */
  readonly areAlone?: boolean
}

const order = JSON.parse(process.argv[2]!) as Order
const fleet = fleetOf(readFileSync(order.fleetFile, 'utf8'))
if (fleet.broker === 'local') throw new Error('agents of their own need a broker')
const { urls: broker } = fleet.broker
const { keys } = openStateDir(fleet.name, order.coordinatorState, process.env)
const coordinator = readCoordinatorPublicKey(keys)

const nothing = (): Omit<Traffic, 'cpuMs'> => ({ received: 0, sent: 0, events: [] })
let traffic = nothing()
const counting = (transport: Transport): Transport => ({
  open: (address, receive) =>
    transport.open(address, (message) => {
      traffic.received += 1
      receive(message)
    }),
  send: (to, message) => {
    traffic.sent += 1
    return transport.send(to, message)
  },
  publish: (event) => {
    traffic.events.push(event)
    return transport.publish(event)
  },
  subscribe: (...args) => transport.subscribe(...args),
  onStatus: (listener) => transport.onStatus(listener),
  peer: () => transport.peer(),
  weaknesses: () => transport.weaknesses(),
  [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
})

const managers: Managers = { ...createManagers() }
const { waitingMs } = order
if (waitingMs !== undefined) Object.assign(managers, { command: waiting(waitingMs) })

await using hosts = new AsyncDisposableStack()
const connect = async (name: string): Promise<Transport> =>
  counting(hosts.use(await openTransport(broker, { name, willReceive: true })))
const shared = order.areAlone ? undefined : await connect('bench agents')
mkdirSync(order.ownState, { recursive: true })

async function open(host: string): Promise<void> {
  const log = pino.destination({ dest: join(order.ownState, `${host}.log`), sync: true })
  const opened = await openHost({
    definition: hostDefinition(fleet, host),
    identity: {
      key: readHostSecret(keys, host)!,
      trusted: (id) => (id === coordinator.id ? coordinator : undefined),
    },
    transport: shared ?? (await connect(`filo-agent ${host}`)),
    stateDir: join(order.ownState, host),
    isActing: true,
    isRelayed: true,
    boot: readBootId(),
    managers,
    log: pino({ base: { host } }, log),
  })
  hosts.use(opened)
}

// Some side by side: a broker makes their queues while others connect.
await mapBounded(order.hosts, 16, open)

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send!({ ...traffic, cpuMs: (user + system) / 1000 } satisfies Traffic)
  traffic = nothing()
})
process.send!('ready')
await new Promise((resolve) => process.once('disconnect', resolve))
