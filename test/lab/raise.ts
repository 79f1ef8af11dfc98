import { existsSync } from 'node:fs'
import type { Rabbitmq } from '../support/rabbitmq.ts'
import { installAgent } from './agent-unit.ts'
import { startBroker } from './broker.ts'
import { layersOf, type Layer } from './image.ts'
import type { LabFleet } from './fleets.ts'
import type { Host } from './host.ts'
import { isOwned, knownLabs, labDir, writeLabFile } from './lab-file.ts'
import { Lab } from './lab.ts'
import { hubAddress } from './network.ts'

export interface HostSpec {
  readonly name: string
  /** What is installed on it; nothing but the base image where absent. */
  readonly layer?: Layer
}

/** A lab with the broker that runs in it. Disposed, nothing of it is left. */
export interface RaisedLab extends AsyncDisposable {
  readonly lab: Lab
  readonly broker: Rabbitmq
}

/**
 * Makes what images are missing, boots the hosts and prepares them, while the broker starts beside them. One process
 * raises a lab, and ends it.
 */
export async function raiseLab(id: string, fleet: LabFleet): Promise<RaisedLab> {
  await removeAbandoned()
  if (existsSync(labDir(id))) throw new Error(`a lab named ${id} is up already: npm run lab -- down`)
  const disks = await layersOf(fleet.hosts.map(({ layer }) => layer))
  const names = fleet.hosts.map(({ name }) => name)
  const lab = new Lab(id, names)
  await using stack = new AsyncDisposableStack()
  writeLabFile(id, names)
  stack.defer(() => lab.remove())
  await lab.network.open()
  const starting = startBroker(lab)
  const outcomes = await Promise.allSettled([starting, raiseHosts(lab, fleet, disks)])
  const [broker] = outcomes
  if (broker.status === 'fulfilled') stack.use(broker.value)
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
  const disposal = stack.move()
  return { lab, broker: await starting, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}

async function raiseHosts(lab: Lab, fleet: LabFleet, disks: readonly string[][]): Promise<void> {
  const hosts = [...lab.hosts.values()]
  await inAll(hosts, async (host, at) => {
    await host.furnish(disks[at]!)
    host.write('/etc/hosts', hostsFile(lab))
    installAgent(host)
  })
  await fleet.furnish?.(lab)
  await inAll(hosts, (host) => host.boot())
  await fleet.prepare(lab)
}

/** Whatever fails in one host, nothing goes on in another when this ends. */
async function inAll(hosts: readonly Host[], act: (host: Host, at: number) => Promise<void>): Promise<void> {
  const outcomes = await Promise.allSettled(hosts.map(act))
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
}

/** Labs whose process was killed before it could take them away. */
async function removeAbandoned(): Promise<void> {
  for (const id of knownLabs()) {
    if (!isOwned(id)) await Lab.find(id).remove()
  }
}

function hostsFile({ hosts }: Lab): string {
  const known = [...hosts.values()].map(({ name, address }) => `${address} ${name}`)
  return `${['127.0.0.1 localhost', `${hubAddress} hub broker`, ...known].join('\n')}\n`
}
