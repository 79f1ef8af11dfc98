import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openHost } from '@filo/agent'
import { openTransport, type AuditEvent, type Transport, readBootId } from '@filo/protocol'
import { pino } from 'pino'
import { readHostSecret, readCoordinatorPublicKey } from '../packages/coordinator/src/engine/keys.ts'
import { openStateDir } from '../packages/coordinator/src/engine/state-dir.ts'
import { hostDefinition } from '../packages/coordinator/src/fleet/fleet.ts'
import { fleetOf } from './fleet-of.ts'

// Agents of several hosts in one process: each with its own key, ledger and mailbox, as it has on a host of its own;
// they share the connections to the broker. Says `ready` to its parent, and what it sent and received when asked.

/** What went through these agents since they were last asked. */
export interface Traffic {
  /** Messages from the coordinator, and to it. */
  received: number
  sent: number
  readonly events: AuditEvent[]
  /** Processor time of this process since it began, without that of the services; milliseconds. */
  cpuMs: number
}

const [file, state, own, ...names] = process.argv.slice(2) as [string, string, string, ...string[]]
const fleet = fleetOf(readFileSync(file, 'utf8'))
if (fleet.broker === 'local') throw new Error('agents of their own need a broker')
const { keys } = openStateDir(fleet.name, state, process.env)
const coordinator = readCoordinatorPublicKey(keys)

const nothing = (): Omit<Traffic, 'cpuMs'> => ({ received: 0, sent: 0, events: [] })
let traffic = nothing()
await using transport = await openTransport(fleet.broker, { name: 'bench agents' })
const counting: Transport = {
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
}

await using hosts = new AsyncDisposableStack()
mkdirSync(own, { recursive: true })
for (const host of names) {
  const opened = await openHost({
    definition: hostDefinition(fleet, host),
    identity: {
      key: readHostSecret(keys, host)!,
      trusted: (id) => (id === coordinator.id ? coordinator : undefined),
    },
    transport: counting,
    stateDir: join(own, host),
    isActing: true,
    isRelayed: true,
    boot: readBootId(),
    log: pino({ base: { host } }, pino.destination({ dest: join(own, `${host}.log`), sync: true })),
  })
  hosts.use(opened)
}

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send!({ ...traffic, cpuMs: (user + system) / 1000 } satisfies Traffic)
  traffic = nothing()
})
process.send!('ready')
await new Promise((resolve) => process.once('disconnect', resolve))
