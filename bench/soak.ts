import { globSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { filo, startFilo } from '../test/support/filo.ts'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq, type Rabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { until } from '../test/support/until.ts'
import { lackingEnds, lastEvents, verifyAll, type Kept } from './consumer-file.ts'
import { makeLayeredFleet, takeLedger, verbs, type Verb } from './layered-fleet.ts'
import { describeMachine, machineLine } from './machine.ts'
import { optionsOf, writeJson } from './options.ts'
import { descriptorsOf, processesOf, rssKiB } from './processes.ts'
import { succeed } from './succeed.ts'
import { inMs, spread, type Spread } from './spread.ts'
import { startAgents } from './start-agents.ts'
import { trendOf, type Trend } from './trend.ts'

// Whether anything grows or is lost while a fleet is stopped and started for long, with a broker that is killed now and
// then. Whatever is lost, or done otherwise than once and in order, ends the benchmark.

const workMs = 5
const sampleMs = 5_000
const attempts = 10
/** Until this part of the time is over, everything may still grow into its size. */
const warmUp = 1 / 5

const parts = ['broker', 'agents', 'consumer'] as const
type Part = (typeof parts)[number]

interface Usage {
  readonly rssKiB: number
  readonly descriptors: number
}

interface Sample {
  readonly atMs: number
  /** All processes of a part together; none of the broker while it is away. */
  readonly of: Partial<Record<Part, Usage>>
}

interface Run {
  readonly verb: Verb
  readonly ms: number
  readonly resumes: number
  /** The broker was away for some of it. */
  readonly wasHit: boolean
}

interface Result extends Kept {
  readonly runs: number
  readonly brokerDeaths: number
  /** Runs during which the broker was away, those of them that had to be resumed, and how often that was. */
  readonly hit: number
  readonly interrupted: number
  readonly resumes: number
  /** Of runs that were not hit: the first fifth, and the last. */
  readonly runMs: { readonly first: Spread; readonly last: Spread }
  readonly trends: Readonly<Record<Part, { readonly rssMiB: Trend; readonly descriptors: Trend }>>
  readonly samples: readonly Sample[]
}

interface Scale {
  readonly hosts: number
  readonly minutes: number
  readonly brokerEveryMinutes: number
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { hosts: '200', minutes: '30', 'broker-every': '3' })
  const scale = {
    hosts: Number(values.hosts),
    minutes: Number(values.minutes),
    brokerEveryMinutes: Number(values['broker-every']),
  }
  using product = await openProduct()
  await using broker = await startRabbitmq()
  const machine = describeMachine({ rabbitmq: (await broker.ctl('version')).trim() })
  console.log(machineLine(machine))
  const result = await soak(scale, product.path, broker)
  console.log(lines(scale, result).join('\n'))
  writeJson({ machine, scale, result }, values.json)
}

async function soak(
  { hosts, minutes, brokerEveryMinutes }: Scale,
  product: string,
  broker: Rabbitmq,
): Promise<Result> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, hosts, broker.url, workMs)
  await succeed(dir.path, 'keys', 'init', '--hosts')
  const file = join(dir.path, 'audit.jsonl')
  const follow = ['audit', 'follow', '--consumer', 'bench', '--to', file, '--rotate', '100GiB']
  await using consumer = startFilo(follow, { cwd: dir.path, timeoutMs: (minutes + 60) * 60_000 })
  await consumer.untilSays(/following as/)
  await using agents = await startAgents(product, dir.path, fleet)
  const carryOut = async (verb: Verb): Promise<Run> => {
    const run = await carryThrough(dir.path, verb, deaths)
    takeLedger(fleet, verb)
    // Or what they sent would stay in their memory.
    await agents.traffic()
    return run
  }

  const endMs = performance.now() + minutes * 60_000
  const deaths = killNowAndThen(broker, brokerEveryMinutes * 60_000)
  await carryOut('start')
  const sampling = takeSamples({
    broker: () => (deaths.isAway() ? [] : processesOf('beam.smp')),
    agents: () => agents.pids,
    consumer: () => [consumer.pid],
  })
  const runs: Run[] = []
  while (performance.now() < endMs) for (const verb of verbs) runs.push(await carryOut(verb))
  const samples = sampling.end()
  await deaths.end()

  // One more run without another death: when its last events have come, so have all.
  await succeed(dir.path, 'restart', '--yes')
  takeLedger(fleet, ...verbs)
  const [newest] = (await succeed(dir.path, 'runs', '--jsonl')).split('\n')
  const { run } = JSON.parse(newest!) as { run: string }
  await until('the consumer to be told that all hosts were given back', () => {
    const released = lastEvents(file).filter(
      ({ type, data }) => type === 'filo.claim.released' && data.run === run,
    )
    return new Set(released.map(({ source }) => source)).size === hosts
  })
  await agents[Symbol.asyncDispose]()
  const chains = [
    join(dir.path, '.state', 'bench', 'journal.db'),
    ...globSync(join(dir.path, 'agents/*/ledger.db')),
  ]
  await until('the consumer to have the last event of each chain', () => {
    const lacking = lackingEnds(file, chains)
    if (lacking.length > 0) throw new Error(`it lacks ${lacking.join(', ')}, and says ${consumer.stderr()}`)
    return true
  })
  consumer.signal('SIGINT')
  const { code, stderr } = await consumer.ended
  if (code !== 0) throw new Error(`the consumer ended with ${code}:\n${stderr}`)
  return {
    ...summaryOf(runs),
    brokerDeaths: deaths.count(),
    ...(await verifyAll(dir.path, file, chains)),
    trends: trendsOf(samples),
    samples,
  }
}

/** A stop or start until it has succeeded, however often it has to be resumed. */
async function carryThrough(dir: string, verb: Verb, deaths: Deaths): Promise<Run> {
  const began = performance.now()
  const wasAway = deaths.isAway()
  const before = deaths.count()
  let resumes = 0
  let args = [verb, '--yes']
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { code, stderr } = await filo(args, { cwd: dir, timeoutMs: 600_000 })
    const wasHit = wasAway || deaths.count() > before
    if (code === 0) return { verb, ms: performance.now() - began, resumes, wasHit }
    console.log(`filo ${args.join(' ')} exited with ${code}: ${stderr.trim().split('\n').at(-1)}`)
    await deaths.isOver()
    // There was none to resume: without the broker the run was not even ordered.
    const isLost = args[0] === 'resume' && code === 4
    args = isLost ? [verb, '--yes'] : ['resume', '--yes']
    resumes += isLost ? -1 : 1
  }
  throw new Error(`${verb} has not succeeded in ${attempts} attempts`)
}

interface Deaths {
  count(): number
  isAway(): boolean
  /** Resolves when the broker serves. */
  isOver(): Promise<void>
  end(): Promise<void>
}

function killNowAndThen(broker: Rabbitmq, everyMs: number): Deaths {
  const ending = new AbortController()
  const { signal } = ending
  let count = 0
  let away: Promise<void> | undefined
  const die = async (): Promise<void> => {
    count += 1
    await broker.kill()
    await broker.restart()
    away = undefined
  }
  const living = async (): Promise<void> => {
    while (await delay(everyMs, true, { signal }).catch(() => false)) await (away = die())
  }
  const ended = living()
  return {
    count: () => count,
    isAway: () => away !== undefined,
    isOver: async () => away,
    async end() {
      ending.abort()
      await ended
    },
  }
}

function takeSamples(pidsOf: Readonly<Record<Part, () => readonly number[]>>): { end(): Sample[] } {
  const began = performance.now()
  const samples: Sample[] = []
  const timer = setInterval(() => {
    const of = parts.flatMap((part) => {
      const pids = pidsOf[part]()
      return pids.length === 0 ? [] : [[part, usageOf(pids)] as const]
    })
    samples.push({ atMs: Math.round(performance.now() - began), of: Object.fromEntries(of) })
  }, sampleMs)
  return {
    end() {
      clearInterval(timer)
      return samples
    },
  }
}

function usageOf(pids: readonly number[]): Usage {
  return {
    rssKiB: pids.reduce((sum, pid) => sum + rssKiB(pid), 0),
    descriptors: pids.reduce((sum, pid) => sum + descriptorsOf(pid), 0),
  }
}

function summaryOf(runs: readonly Run[]): Pick<Result, 'runs' | 'hit' | 'interrupted' | 'resumes' | 'runMs'> {
  const quiet = runs.filter(({ wasHit }) => !wasHit).map(({ ms }) => ms)
  const fifth = Math.ceil(quiet.length / 5)
  return {
    runs: runs.length,
    hit: runs.filter(({ wasHit }) => wasHit).length,
    interrupted: runs.filter(({ resumes }) => resumes > 0).length,
    resumes: runs.reduce((sum, { resumes }) => sum + resumes, 0),
    runMs: { first: spread(quiet.slice(0, fifth)), last: spread(quiet.slice(-fifth)) },
  }
}

function trendsOf(samples: readonly Sample[]): Result['trends'] {
  const settled = samples.filter(({ atMs }) => atMs >= samples.at(-1)!.atMs * warmUp)
  const trend = (part: Part, value: (usage: Usage) => number): Trend =>
    trendOf(
      settled.flatMap(({ atMs, of }) => (of[part] === undefined ? [] : [{ atMs, value: value(of[part]) }])),
    )
  const all = parts.map((part) => [
    part,
    {
      rssMiB: trend(part, (usage) => usage.rssKiB / 1024),
      descriptors: trend(part, (usage) => usage.descriptors),
    },
  ])
  return Object.fromEntries(all) as Result['trends']
}

function lines({ hosts, minutes }: Scale, result: Result): string[] {
  const { runs, brokerDeaths, hit, interrupted, resumes, runMs, events, repeats, trends } = result
  const show = ({ median, min, max, perHour }: Trend, unit: string): string =>
    `${`${median}${unit} (${min} to ${max})`.padEnd(32)} ${perHour > 0 ? '+' : ''}${perHour}${unit} an hour`
  return [
    `${hosts} hosts, ${minutes} minutes: ${runs} runs, ${brokerDeaths} deaths of the broker, which hit ${hit} runs: ${interrupted} were resumed, ${resumes} times in all`,
    `  a run took ${inMs(runMs.first)} at first, ${inMs(runMs.last)} in the end`,
    `  ${events} events, all in the consumer's file and verified; ${repeats} came again`,
    ...parts.flatMap((part) => [
      `  ${part.padEnd(9)} memory       ${show(trends[part].rssMiB, ' MiB')}`,
      `  ${''.padEnd(9)} descriptors  ${show(trends[part].descriptors, '')}`,
    ]),
  ]
}
