import { execFileSync, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { AuditEvent } from '@filo/protocol'
import { filo } from '../test/support/filo.ts'
import { startRabbitmq, type Rabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import type { Traffic } from './agents.ts'
import { compile, hostOf, makeLayeredFleet, takeLedger, type LayeredFleet } from './layered-fleet.ts'
import { spread, type Spread } from './spread.ts'
import { splitTime, type TimeSplit } from './time-split.ts'

// How long an ordered stop and an ordered start of a whole fleet take, with the real command, real agents and a real
// RabbitMQ, against a C program that only runs the same processes in the same order (floor.c).

const verbs = ['stop', 'start'] as const

/** One command, or the floor's part that corresponds to it. */
interface Pass {
  readonly floorMs: number
  readonly filoMs: number
  readonly split: TimeSplit
  readonly processes: number
  readonly messages: number
  readonly events: number
  /** Processor time: what other load on the machine changes least. */
  readonly commandCpuMs: number
  readonly agentsCpuMs: number
}

interface Result {
  readonly hosts: number
  /** Stop and start together, in whole processes, seconds of which are what a user waits for; milliseconds. */
  readonly floorMs: Spread
  readonly filoMs: Spread
  readonly runMs: Spread
  /** Of the medians. */
  readonly ratio: number
  readonly runRatio: number
  /** The same work as one command, `filo restart`. */
  readonly restartMs: Spread
  readonly restartRatio: number
  /** For a stop and a start together. */
  readonly processes: number
  readonly messages: number
  readonly events: number
  readonly commandCpuMs: Spread
  readonly agentsCpuMs: Spread
  /** Medians over all passes. */
  readonly split: Readonly<Record<keyof TimeSplit, number>>
}

export async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      hosts: { type: 'string', default: '40,200' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string' },
    },
  })
  await using broker = await startRabbitmq()
  const machine = await describeMachine(broker)
  console.log(
    Object.entries(machine)
      .map(([what, value]) => `${what} ${value}`)
      .join(', '),
  )
  const results: Result[] = []
  for (const hosts of values.hosts.split(',').map(Number)) {
    const result = await measure(hosts, Number(values.rounds), broker)
    results.push(result)
    console.log(lines(result).join('\n'))
  }
  const json = JSON.stringify({ machine, results }, undefined, 2)
  if (values.json === undefined) console.log(json)
  else writeFileSync(values.json, `${json}\n`)
}

async function describeMachine(broker: Rabbitmq) {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    kernel: release(),
    node: process.version,
    rabbitmq: (await broker.ctl('version')).trim(),
  }
}

async function measure(hosts: number, rounds: number, broker: Rabbitmq): Promise<Result> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, hosts, broker.url)
  const floor = compile(dir.path, 'floor')
  await command(dir.path, ['keys'])
  await using agents = await startAgents(dir.path, fleet)
  // Also makes the first state, and warms what is cached: not counted.
  await command(dir.path, ['start', '--yes'])
  takeLedger(fleet, 'start')
  const passes: Pass[][] = []
  const restartsMs: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const floorMs = verbs.map((verb) => runFloor(floor, fleet, verb))
    const both: Pass[] = []
    for (const [at, verb] of verbs.entries()) {
      both.push({ floorMs: floorMs[at]!, ...(await runFilo(dir.path, fleet, verb, agents)) })
    }
    passes.push(both)
    const began = performance.now()
    await command(dir.path, ['restart', '--yes'])
    restartsMs.push(performance.now() - began)
    takeLedger(fleet, ...verbs)
    await agents.traffic()
  }
  return summarise(hosts, passes, spread(restartsMs))
}

function runFloor(floor: string, fleet: LayeredFleet, verb: 'stop' | 'start'): number {
  const order = verb === 'start' ? fleet.layers : fleet.layers.toReversed()
  const names = order.flatMap((layer, at) => (at === 0 ? layer : ['/', ...layer]))
  const began = performance.now()
  execFileSync(floor, [fleet.service, verb, ...names])
  const tookMs = performance.now() - began
  takeLedger(fleet, verb)
  return tookMs
}

async function runFilo(
  dir: string,
  fleet: LayeredFleet,
  verb: 'stop' | 'start',
  agents: Agents,
): Promise<Omit<Pass, 'floorMs'>> {
  const before = await agents.traffic()
  const ownCpuMs = cpuOfChildren()
  const beganAt = Date.now()
  const began = performance.now()
  await command(dir, [verb, '--yes'])
  const filoMs = performance.now() - began
  const commandCpuMs = cpuOfChildren() - ownCpuMs
  const processes = takeLedger(fleet, verb)
  const { received, sent, events, cpuMs } = await agents.traffic()
  const all = [...events, ...journalEvents(dir, beganAt)]
  return {
    filoMs,
    split: splitTime(all, beganAt, beganAt + filoMs),
    processes,
    messages: received + sent,
    commandCpuMs,
    agentsCpuMs: cpuMs - before.cpuMs,
    events: all.length,
  }
}

/** Processor time of all children that have ended, milliseconds (proc_pid_stat(5), cutime and cstime). */
function cpuOfChildren(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ')
  const ticksMs = 10 // sysconf(3), _SC_CLK_TCK is 100 wherever Node runs on Linux
  return (Number(fields[13]) + Number(fields[14])) * ticksMs
}

async function command(dir: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await filo(args, { cwd: dir })
  if (code !== 0) throw new Error(`filo ${args.join(' ')} exited with ${code}:\n${stderr}`)
}

function journalEvents(dir: string, sinceMs: number): AuditEvent[] {
  using db = new DatabaseSync(join(dir, '.state', 'bench', 'journal.db'))
  return db
    .prepare('select event from audit_event order by sequence')
    .all()
    .map((row) => JSON.parse(row['event'] as string) as AuditEvent)
    .filter(({ time }) => Date.parse(time) >= sinceMs)
}

/**
 * Node starts a process by fork(2), which copies the page tables of all its memory: agents that share a process pay
 * more for each than one does alone. Few enough share one that it makes little difference, and many fit here.
 */
const hostsPerProcess = 10

const compileCache = fileURLToPath(new URL('../node_modules/.cache/filo', import.meta.url))

interface Agents extends AsyncDisposable {
  /** Since it was last asked for; processor time since they began. */
  traffic(): Promise<Traffic>
}

async function startAgents(dir: string, fleet: LayeredFleet): Promise<Agents> {
  const hosts = fleet.layers.flat().map(hostOf)
  const groups: Agents[] = []
  const processes = Math.ceil(hosts.length / hostsPerProcess)
  for (let at = 0; at < processes; at += 1) {
    // Hosts of every layer in each, so that no process has all the work at once.
    const some = hosts.filter((_, index) => index % processes === at)
    groups.push(await startSome(dir, fleet, some))
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

async function startSome(dir: string, fleet: LayeredFleet, hosts: readonly string[]): Promise<Agents> {
  const path = fileURLToPath(new URL('agents.ts', import.meta.url))
  // As bin/filo-agent runs it: both keep an agent's memory small, and with it the cost of starting a process.
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache }
  const args = [fleet.file, join(dir, '.state'), join(dir, 'agents'), ...hosts]
  const child = fork(path, args, { env, execArgv: ['--max-semi-space-size=1'] })
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

function summarise(hosts: number, rounds: readonly (readonly Pass[])[], restartMs: Spread): Result {
  const sum = (of: (pass: Pass) => number): Spread =>
    spread(rounds.map((passes) => passes.reduce((total, pass) => total + of(pass), 0)))
  const floorMs = sum((pass) => pass.floorMs)
  const filoMs = sum((pass) => pass.filoMs)
  const runMs = sum((pass) => pass.split.run)
  const all = rounds.flat()
  const parts = Object.keys(all[0]!.split) as (keyof TimeSplit)[]
  const split = parts.map((part) => [part, spread(all.map((pass) => pass.split[part])).median] as const)
  return {
    hosts,
    floorMs,
    filoMs,
    runMs,
    ratio: ratioOf(filoMs, floorMs),
    runRatio: ratioOf(runMs, floorMs),
    restartMs,
    restartRatio: ratioOf(restartMs, floorMs),
    processes: sum((pass) => pass.processes).median,
    messages: sum((pass) => pass.messages).median,
    events: sum((pass) => pass.events).median,
    commandCpuMs: sum((pass) => pass.commandCpuMs),
    agentsCpuMs: sum((pass) => pass.agentsCpuMs),
    split: Object.fromEntries(split) as Result['split'],
  }
}

function ratioOf(one: Spread, other: Spread): number {
  return Math.round((one.median / other.median) * 100) / 100
}

function lines(result: Result): string[] {
  const { hosts, floorMs, filoMs, runMs, restartMs, ratio, runRatio, restartRatio, split } = result
  const time = ({ median, min, max }: Spread): string =>
    `${String(Math.round(median)).padStart(6)} ms (${Math.round(min)} to ${Math.round(max)})`
  return [
    `${hosts} hosts, stop and start`,
    `  floor               ${time(floorMs)}`,
    `  filo stop + start   ${time(filoMs)}  ${ratio} times`,
    `  the runs alone      ${time(runMs)}  ${runRatio} times`,
    `  filo restart        ${time(restartMs)}  ${restartRatio} times`,
    `  ${result.processes} processes, ${result.messages} messages, ${result.events} audit events`,
    `  processor: commands ${time(result.commandCpuMs)}, agents ${time(result.agentsCpuMs)}`,
    `  each command: start-up ${split.startUp} ms, claims ${split.claims}, steps ${split.steps}, end ${split.end}`,
    `  each step: until started ${split.toStarted} ms, at the agent ${split.atAgent}, until it counts ${split.toDone}; between layers ${split.betweenLayers}`,
  ]
}
