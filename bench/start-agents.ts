import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from '../build.ts'
import { programs } from '../test/support/programs.ts'
import { until } from '../test/support/until.ts'
import type { Order, Traffic } from './agents.ts'
import { hostOf, type LayeredFleet } from './layered-fleet.ts'

/**
 * Node starts a process by fork(2), which copies the page tables of all its memory: agents that share a process pay
 * more for each than one does alone. Few enough share one that it makes little difference, and many fit here.
 */
const hostsPerProcess = 10

/** How agents are to be; by default as those that start processes. */
export interface AgentsOptions extends Pick<Order, 'waitingMs' | 'areAlone'> {
  readonly hostsPerProcess?: number
}

export interface Agents extends AsyncDisposable {
  /** Of the processes that they run in. */
  readonly pids: readonly number[]
  /** Since it was last asked for; processor time since they began. */
  traffic(): Promise<Traffic>
  /** The same, once every agent has relayed that its host was given back: a moment after a run, all events together. */
  trafficOfRun(): Promise<Traffic>
}

/** Starts the agents of all hosts of a fleet, several to a process; all else about them is as in `product`. */
export async function startAgents(
  product: string,
  dir: string,
  fleet: LayeredFleet,
  options: AgentsOptions = {},
): Promise<Agents> {
  await bundle(fileURLToPath(new URL('agents.ts', import.meta.url)), join(product, 'packages/agent/bench'))
  const hosts = fleet.layers.flat().map(hostOf)
  const groups: Group[] = []
  const processes = Math.ceil(hosts.length / (options.hostsPerProcess ?? hostsPerProcess))
  for (let at = 0; at < processes; at += 1) {
    // Hosts of every layer in each, so that no process has all the work at once.
    const some = hosts.filter((_, index) => index % processes === at)
    groups.push(await startSome(product, dir, fleet, some, options))
  }
  const traffic = async (): Promise<Traffic> => {
    const all = await Promise.all(groups.map((group) => group.traffic()))
    return {
      received: all.reduce((sum, { received }) => sum + received, 0),
      sent: all.reduce((sum, { sent }) => sum + sent, 0),
      events: all.flatMap(({ events }) => events),
      cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    }
  }
  return {
    pids: groups.map(({ pid }) => pid),
    traffic,
    async trafficOfRun() {
      const all: Traffic = { received: 0, sent: 0, events: [], cpuMs: 0 }
      await until('every agent to relay that its host was given back', async () => {
        const { received, sent, events, cpuMs } = await traffic()
        all.received += received
        all.sent += sent
        all.events.push(...events)
        all.cpuMs = cpuMs
        return all.events.filter(({ type }) => type === 'filo.claim.released').length >= hosts.length
      })
      return all
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(groups.map((group) => group[Symbol.asyncDispose]()))
    },
  }
}

/** Those of one process. */
interface Group extends AsyncDisposable {
  readonly pid: number
  traffic(): Promise<Traffic>
}

async function startSome(
  product: string,
  dir: string,
  fleet: LayeredFleet,
  hosts: readonly string[],
  { waitingMs, areAlone }: AgentsOptions,
): Promise<Group> {
  const path = join(product, 'packages/agent/bench/agents.js')
  const env = { ...process.env, NODE_COMPILE_CACHE: join(product, 'node_modules/.cache/filo') }
  const order: Order = {
    fleetFile: fleet.file,
    coordinatorState: join(dir, '.state'),
    ownState: join(dir, 'agents'),
    hosts,
    ...(waitingMs !== undefined && { waitingMs }),
    ...(areAlone && { areAlone }),
  }
  const child = fork(path, [JSON.stringify(order)], { env, execArgv: flagsOfAgent() })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`agents ended with ${code}`)
  })
  // Nobody may be waiting for a word when they are told to end.
  ended.catch(() => {})
  const say = async (): Promise<unknown> => {
    const [word] = (await Promise.race([once(child, 'message'), ended])) as [unknown]
    return word
  }
  await say()
  return {
    pid: child.pid!,
    async traffic() {
      child.send('traffic')
      return (await say()) as Traffic
    },
    [Symbol.asyncDispose]: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.disconnect()
  await ended
}

/** What bin/filo-agent gives to Node. */
function flagsOfAgent(): string[] {
  const flags = /^exec "\$node" (.*) "\$main" "\$@"$/m.exec(readFileSync(programs().agent, 'utf8'))?.[1]
  if (flags === undefined) throw new Error('bin/filo-agent does not end as it did')
  return flags.split(' ')
}
