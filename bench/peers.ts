import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq, type Rabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { filos, floor, peers, versionsOfPeers, type Contender } from './contenders.ts'
import { makeLayeredFleet, takeLedger, type LayeredFleet } from './layered-fleet.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { succeed } from './succeed.ts'
import { inMs, ratioOf, spread, type Spread } from './spread.ts'
import { openSshHosts } from './ssh-hosts.ts'
import { startAgents, type Agents } from './start-agents.ts'

// The work of `run`, in the same rounds also by programs that others use for it.

interface Row {
  readonly name: string
  /** A stop and a start together, in whole processes. */
  readonly ms: Spread
  /** To the floor, of the medians. */
  readonly ratio: number
}

interface Result {
  readonly hosts: number
  readonly rows: readonly Row[]
  readonly fastestPeer: string
  /** How many times as long as the fastest peer Filo takes, by command. */
  readonly ratios: Readonly<Record<string, number>>
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { hosts: '40,200', rounds: '5' })
  using product = await openProduct()
  await using broker = await startRabbitmq()
  const rabbitmq = (await broker.ctl('version')).trim()
  const results: Result[] = []
  for (const hosts of numbersOf(values.hosts)) {
    results.push(await measure(hosts, Number(values.rounds), product.path, broker))
    console.log(lines(results.at(-1)!).join('\n'))
  }
  const machine = describeMachine({ rabbitmq, ...(await versionsOfPeers()) })
  console.log(machineLine(machine))
  writeJson({ machine, results }, values.json)
}

async function measure(hosts: number, rounds: number, product: string, broker: Rabbitmq): Promise<Result> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, hosts, broker.url)
  const own = join(dir.path, 'ssh')
  mkdirSync(own)
  await using ssh = await openSshHosts(own, fleet.layers.flat())
  await succeed(dir.path, 'keys', 'init', '--hosts')
  await using agents = await startAgents(product, dir.path, fleet)
  await succeed(dir.path, 'start', '--yes')
  takeLedger(fleet, 'start')
  const itself = filos(dir.path)
  const others = await peers(own, fleet, ssh.config)
  const contenders = [floor(dir.path, fleet), ...itself, ...others]
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  // The first round warms what is cached, and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of contenders) {
      const ms = await time(contender, fleet, agents)
      if (round > 0) times.get(contender.name)!.push(ms)
    }
  }
  return resultOf(hosts, times, namesOf(itself), namesOf(others))
}

async function time(
  { commands, onlyProves }: Contender,
  fleet: LayeredFleet,
  agents: Agents,
): Promise<number> {
  let ms = 0
  for (const { verbs, carryOut } of commands) {
    const began = performance.now()
    await carryOut()
    ms += performance.now() - began
    const processes = takeLedger(fleet, ...verbs)
    const least = 2 * verbs.length * fleet.layers.flat().length
    if (onlyProves && processes !== least) throw new Error(`${processes} processes instead of ${least}`)
    // What agents still do would take from whoever comes next.
    if (!onlyProves) await agents.trafficOfRun()
  }
  return ms
}

function resultOf(
  hosts: number,
  times: ReadonlyMap<string, readonly number[]>,
  itself: readonly string[],
  others: readonly string[],
): Result {
  const spreads = new Map([...times].map(([name, all]) => [name, spread(all)]))
  const of = (name: string): Spread => spreads.get(name)!
  const [fastestPeer] = others.toSorted((one, other) => of(one).median - of(other).median)
  return {
    hosts,
    rows: [...spreads].map(([name, ms]) => ({ name, ms, ratio: ratioOf(ms, of('floor')) })),
    fastestPeer: fastestPeer!,
    ratios: Object.fromEntries(itself.map((name) => [name, ratioOf(of(name), of(fastestPeer!))])),
  }
}

function namesOf(contenders: readonly Contender[]): string[] {
  return contenders.map(({ name }) => name)
}

function lines({ hosts, rows, fastestPeer, ratios }: Result): string[] {
  return [
    `${hosts} hosts, stop and start`,
    ...rows.map(({ name, ms, ratio }) => `  ${name.padEnd(22)} ${inMs(ms, 6)}  ${ratio} times the floor`),
    ...Object.entries(ratios).map(([name, ratio]) => `  ${name}: ${ratio} times ${fastestPeer}`),
  ]
}
