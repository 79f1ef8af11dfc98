import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from '../build.ts'
import { programs } from '../test/support/programs.ts'
import type { Traffic } from './agents.ts'
import { hostOf, type LayeredFleet } from './layered-fleet.ts'

/**
 * Node starts a process by fork(2), which copies the page tables of all its memory: agents that share a process pay
 * more for each than one does alone. Few enough share one that it makes little difference, and many fit here.
 */
const hostsPerProcess = 10

export interface Agents extends AsyncDisposable {
  /** Since it was last asked for; processor time since they began. */
  traffic(): Promise<Traffic>
}

/** Starts the agents of all hosts of a fleet, several to a process; all else about them is as in `product`. */
export async function startAgents(product: string, dir: string, fleet: LayeredFleet): Promise<Agents> {
  await bundle(fileURLToPath(new URL('agents.ts', import.meta.url)), join(product, 'packages/agent/bench'))
  const hosts = fleet.layers.flat().map(hostOf)
  const groups: Agents[] = []
  const processes = Math.ceil(hosts.length / hostsPerProcess)
  for (let at = 0; at < processes; at += 1) {
    // Hosts of every layer in each, so that no process has all the work at once.
    const some = hosts.filter((_, index) => index % processes === at)
    groups.push(await startSome(product, dir, fleet, some))
  }
  return {
    async traffic() {
      const all = await Promise.all(groups.map((group) => group.traffic()))
      return {
        received: all.reduce((sum, { received }) => sum + received, 0),
        sent: all.reduce((sum, { sent }) => sum + sent, 0),
        events: all.flatMap(({ events }) => events),
        cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(groups.map((group) => group[Symbol.asyncDispose]()))
    },
  }
}

async function startSome(
  product: string,
  dir: string,
  fleet: LayeredFleet,
  hosts: readonly string[],
): Promise<Agents> {
  const path = join(product, 'packages/agent/bench/agents.js')
  const env = { ...process.env, NODE_COMPILE_CACHE: join(product, 'node_modules/.cache/filo') }
  const args = [fleet.file, join(dir, '.state'), join(dir, 'agents'), ...hosts]
  const child = fork(path, args, { env, execArgv: flagsOfAgent() })
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
