import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AuditEvent } from '@filo/protocol'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq, type Rabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { compileFloor } from './floor.ts'
import { makeLayeredFleet, takeLedger, verbs, type LayeredFleet, type Verb } from './layered-fleet.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { succeed } from './succeed.ts'
import { inMs, ratioOf, spread, type Spread } from './spread.ts'
import { startAgents, type Agents } from './start-agents.ts'
import { splitTime, type TimeSplit } from './time-split.ts'

// How long an ordered stop and an ordered start of a whole fleet take, with the command and agents as they are built
// for hosts and a real RabbitMQ, against a C program that only runs the same processes in the same order (floor.c).

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
  const values = optionsOf(args, { hosts: '40,200', rounds: '5' })
  using product = await openProduct()
  await using broker = await startRabbitmq()
  const machine = describeMachine({ rabbitmq: (await broker.ctl('version')).trim() })
  console.log(machineLine(machine))
  const results: Result[] = []
  for (const hosts of numbersOf(values.hosts)) {
    const result = await measure(hosts, Number(values.rounds), product.path, broker)
    results.push(result)
    console.log(lines(result).join('\n'))
  }
  writeJson({ machine, results }, values.json)
}

async function measure(hosts: number, rounds: number, product: string, broker: Rabbitmq): Promise<Result> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, hosts, broker.url)
  const floor = compileFloor(dir.path, fleet)
  await succeed(dir.path, 'keys', 'init', '--hosts')
  await using agents = await startAgents(product, dir.path, fleet)
  // Also makes the first state, and warms what is cached: not counted.
  await succeed(dir.path, 'start', '--yes')
  takeLedger(fleet, 'start')
  await agents.trafficOfRun()
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
    await succeed(dir.path, 'restart', '--yes')
    restartsMs.push(performance.now() - began)
    takeLedger(fleet, ...verbs)
    await agents.trafficOfRun()
  }
  return summarise(hosts, passes, spread(restartsMs))
}

function runFloor(floor: (verb: Verb) => void, fleet: LayeredFleet, verb: Verb): number {
  const began = performance.now()
  floor(verb)
  const tookMs = performance.now() - began
  takeLedger(fleet, verb)
  return tookMs
}

async function runFilo(
  dir: string,
  fleet: LayeredFleet,
  verb: Verb,
  agents: Agents,
): Promise<Omit<Pass, 'floorMs'>> {
  const before = await agents.traffic()
  const ownCpuMs = cpuOfChildren()
  const beganAt = Date.now()
  const began = performance.now()
  await succeed(dir, verb, '--yes')
  const filoMs = performance.now() - began
  const commandCpuMs = cpuOfChildren() - ownCpuMs
  const processes = takeLedger(fleet, verb)
  const { received, sent, events, cpuMs } = await agents.trafficOfRun()
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

function journalEvents(dir: string, sinceMs: number): AuditEvent[] {
  using db = new DatabaseSync(join(dir, '.state', 'bench', 'journal.db'))
  return db
    .prepare('select event from audit_event order by sequence')
    .all()
    .map((row) => JSON.parse(row['event'] as string) as AuditEvent)
    .filter(({ time }) => Date.parse(time) >= sinceMs)
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

function lines(result: Result): string[] {
  const { hosts, floorMs, filoMs, runMs, restartMs, ratio, runRatio, restartRatio, split } = result
  const time = (of: Spread): string => inMs(of, 6)
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
