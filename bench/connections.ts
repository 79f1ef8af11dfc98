import { setTimeout as delay } from 'node:timers/promises'
import type { Broker } from '../test/support/broker.ts'
import { startFilo } from '../test/support/filo.ts'
import { startNats } from '../test/support/nats.ts'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { makeLayeredFleet } from './layered-fleet.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { processesOf, rssKiB, statusOf } from './processes.ts'
import { spread, type Spread } from './spread.ts'
import { startAgents } from './start-agents.ts'

// What many agents cost a broker, each with the connections that it has on a host of its own, and what it costs to look at all
// of them. Agents share processes, and services start none: what is left is connections and messages.

interface Row {
  readonly broker: string
  readonly agents: number
  /** Resident memory of the broker, MiB. */
  readonly brokerMiB: { readonly before: number; readonly after: number }
  readonly kibPerAgent: number
  readonly connectSeconds: number
  readonly statusMs: Spread
  /** The most resident memory of the command, MiB. */
  readonly statusMiB: Spread
  /** Of all agents, while nothing is asked of them: processor time of a core, percent. */
  readonly restPercent: number
  readonly agentsMiB: number
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, {
    agents: '1000,5000',
    brokers: 'rabbitmq,nats',
    process: '250',
    rest: '60',
    rounds: '5',
  })
  using product = await openProduct()
  const rows: Row[] = []
  for (const kind of values.brokers.split(',')) {
    for (const agents of numbersOf(values.agents)) {
      await using broker = await (kind === 'nats' ? startNats() : startRabbitmq())
      const each = { agents, perProcess: Number(values.process), restSeconds: Number(values.rest) }
      rows.push(await measure(kind, broker, product.path, { ...each, rounds: Number(values.rounds) }))
      console.log(line(rows.at(-1)!))
    }
  }
  const machine = describeMachine()
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

interface Scale {
  readonly agents: number
  readonly perProcess: number
  readonly restSeconds: number
  readonly rounds: number
}

async function measure(kind: string, broker: Broker, product: string, scale: Scale): Promise<Row> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, scale.agents, broker.url)
  await command(dir.path, ['keys', 'init', '--hosts'])
  const name = kind === 'nats' ? 'nats-server' : 'beam.smp'
  const before = memoryOf(name)
  const began = performance.now()
  await using agents = await startAgents(product, dir.path, fleet, {
    waitingMs: 0,
    areAlone: true,
    hostsPerProcess: scale.perProcess,
  })
  const connectSeconds = Math.round((performance.now() - began) / 100) / 10
  const after = memoryOf(name)
  const times: number[] = []
  const memory: number[] = []
  for (let round = 0; round < scale.rounds; round += 1) {
    const asked = performance.now()
    memory.push(await command(dir.path, ['status']))
    times.push(performance.now() - asked)
  }
  const { cpuMs } = await agents.traffic()
  await delay(scale.restSeconds * 1000)
  const restMs = (await agents.traffic()).cpuMs - cpuMs
  return {
    broker: kind,
    agents: scale.agents,
    brokerMiB: { before, after },
    kibPerAgent: Math.round(((after - before) * 1024) / scale.agents),
    connectSeconds,
    statusMs: spread(times),
    statusMiB: spread(memory),
    restPercent: Math.round((restMs / scale.restSeconds / 10 / scale.agents) * 1e5) / 1e5,
    agentsMiB: Math.round(agents.pids.reduce((sum, pid) => sum + rssKiB(pid), 0) / 1024),
  }
}

/** Resident memory of the broker, a program below this process, MiB. */
function memoryOf(program: string): number {
  return Math.round(processesOf(program).reduce((sum, pid) => sum + rssKiB(pid), 0) / 1024)
}

/** Its most memory, MiB, as GNU time(1) and bash(1) do not tell: the kernel's of the command while it runs. */
async function command(dir: string, args: readonly string[]): Promise<number> {
  await using running = startFilo(args, { cwd: dir, timeoutMs: 300_000 })
  let mostKiB = 0
  const timer = setInterval(() => {
    mostKiB = Math.max(mostKiB, Number.parseInt(statusOf(running.pid, 'VmHWM'), 10) || 0)
  }, 20)
  const { code, stderr } = await running.ended.finally(() => clearInterval(timer))
  if (code !== 0) throw new Error(`filo ${args.join(' ')} exited with ${code}:\n${stderr}`)
  return Math.round(mostKiB / 1024)
}

function line(row: Row): string {
  const range = ({ median, min, max }: Spread): string =>
    `${Math.round(median)} (${Math.round(min)} to ${Math.round(max)})`
  return (
    `${row.broker} ${row.agents} agents: broker ${row.brokerMiB.before} -> ${row.brokerMiB.after} MiB, ${row.kibPerAgent} KiB each; ` +
    `connected in ${row.connectSeconds} s; filo status ${range(row.statusMs)} ms, ${range(row.statusMiB)} MiB; ` +
    `at rest ${row.restPercent} % of a core each, all agents ${row.agentsMiB} MiB`
  )
}
