import { connect } from 'amqplib'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { makeLayeredFleet } from './layered-fleet.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { succeed } from './succeed.ts'
import { inMs, spread, type Spread } from './spread.ts'
import { startAgents } from './start-agents.ts'

// What Filo itself costs: the fleets of `run`, with services that only wait, so that no process is started; against bare
// round trips of the same number and size over the same broker: for each host one claim, and two actions.

const layers = 4
const waitingMs = 50
/** About what a command and its answer take, with their signatures. */
const commandBytes = 1200
const answerBytes = 1500

interface Row {
  readonly hosts: number
  /** `filo stop` and `filo start` together, without the two critical paths. */
  readonly overheadMs: Spread
  readonly bareMs: Spread
  /** Of the medians. */
  readonly ratio: number
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { hosts: '100,1000', rounds: '5' })
  using product = await openProduct()
  await using broker = await startRabbitmq()
  const rows: Row[] = []
  for (const hosts of numbersOf(values.hosts)) {
    rows.push(await measure(hosts, Number(values.rounds), product.path, broker.url))
    console.log(line(rows.at(-1)!))
  }
  const machine = describeMachine({ rabbitmq: (await broker.ctl('version')).trim() })
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

async function measure(hosts: number, rounds: number, product: string, url: string): Promise<Row> {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, hosts, url)
  await succeed(dir.path, 'keys', 'init', '--hosts')
  await using _ = await startAgents(product, dir.path, fleet, { waitingMs, hostsPerProcess: 250 })
  const overhead: number[] = []
  const bare: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await measureBare(hosts, url))
    const began = performance.now()
    await succeed(dir.path, 'stop', '--yes')
    await succeed(dir.path, 'start', '--yes')
    overhead.push(performance.now() - began - 2 * layers * waitingMs)
  }
  const row = { hosts, overheadMs: spread(overhead), bareMs: spread(bare) }
  return { ...row, ratio: Math.round((row.overheadMs.median / row.bareMs.median) * 10) / 10 }
}

/** All claims at once, then the actions of a layer at once, layer by layer: as a run sends them. */
async function measureBare(hosts: number, url: string): Promise<number> {
  const [one, other] = [await connect(url), await connect(url)]
  const [asking, answering] = [await one.createChannel(), await other.createChannel()]
  const questions = await answering.assertQueue('', { exclusive: true })
  const answers = await asking.assertQueue('', { exclusive: true })
  const answer = Buffer.alloc(answerBytes)
  await answering.consume(questions.queue, (message) => {
    answering.sendToQueue(answers.queue, answer)
    answering.ack(message!)
  })
  let open = 0
  let allAnswered = Promise.withResolvers<void>()
  await asking.consume(answers.queue, (message) => {
    asking.ack(message!)
    open -= 1
    if (open === 0) allAnswered.resolve()
  })
  const ask = async (count: number): Promise<void> => {
    allAnswered = Promise.withResolvers()
    open = count
    for (let sent = 0; sent < count; sent += 1)
      asking.sendToQueue(questions.queue, Buffer.alloc(commandBytes))
    await allAnswered.promise
  }
  const began = performance.now()
  await ask(hosts)
  for (let layer = 0; layer < 2 * layers; layer += 1) await ask(Math.ceil(hosts / layers))
  const tookMs = performance.now() - began
  await one.close()
  await other.close()
  return tookMs
}

function line({ hosts, overheadMs, bareMs, ratio }: Row): string {
  return `${hosts} hosts: stop and start without the services' own time ${inMs(overheadMs)}; bare round trips ${inMs(bareMs)}; ${ratio} times`
}
