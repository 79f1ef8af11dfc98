import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect } from 'amqplib'
import {
  AuditLog,
  auditTables,
  Database,
  openTransport,
  Relay,
  systemClock,
  type AuditDraft,
} from '@filo/protocol'
import type { Broker } from '../test/support/broker.ts'
import { connectToNats } from '../test/support/connect-to-nats.ts'
import { startFilo } from '../test/support/filo.ts'
import { startNats } from '../test/support/nats.ts'
import { openProduct } from '../test/support/product.ts'
import { startRabbitmq } from '../test/support/rabbitmq.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { until } from '../test/support/until.ts'
import { makeLayeredFleet, takeLedger } from './layered-fleet.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { succeed } from './succeed.ts'
import { spread, type Spread } from './spread.ts'
import { startAgents } from './start-agents.ts'

// How many events a second the audit trail carries, from a source's database over its relay and a real broker into the
// file of a consumer, while a fleet is stopped and started; how long that takes then; and how many messages of the same
// size the broker itself confirms to a client that does nothing else, in the same rounds.

const batch = 512
const source = '/agents/load'

/** At one rate, over all rounds. */
interface Measured {
  /** Events a second that were written beside the run's own; 0: none. */
  readonly rate: number
  /** `filo stop --yes` and `filo start --yes`, whole processes; milliseconds. */
  readonly runMs: Spread
  /** From the last event's writing to the consumer's file having all, milliseconds. */
  readonly lagMs: Spread
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, {
    hosts: '10',
    rounds: '5',
    rates: '0,250,500,1000,2000',
    burst: '10000',
  })
  using product = await openProduct()
  const rates = numbersOf(values.rates)
  const results: Record<string, unknown> = {
    machine: { cores: availableParallelism(), cpu: cpus()[0]?.model, node: process.version },
  }
  for (const [kind, start] of [
    ['RabbitMQ', startRabbitmq],
    ['NATS', startNats],
  ] as const) {
    await using broker = await start()
    const options = {
      rounds: Number(values.rounds),
      rates,
      hosts: Number(values.hosts),
      burst: Number(values.burst),
    }
    results[kind] = await measure(kind, broker, product.path, options)
  }
  writeJson(results, values.json)
}

interface Options {
  readonly rounds: number
  readonly rates: readonly number[]
  readonly hosts: number
  readonly burst: number
}

async function measure(kind: string, broker: Broker, product: string, options: Options) {
  using dir = tempDir()
  const fleet = makeLayeredFleet(dir.path, options.hosts, broker.url)
  await succeed(dir.path, 'keys', 'init', '--hosts')
  await using agents = await startAgents(product, dir.path, fleet)
  const file = join(dir.path, 'audit.jsonl')
  await using follower = startFilo(
    ['audit', 'follow', '--consumer', 'bench', '--to', file, '--rotate', '1GiB'],
    {
      cwd: dir.path,
      timeoutMs: 3_600_000,
    },
  )
  await follower.untilSays(/following as/)
  await using load = await openLoad(dir.path, broker.url)
  using reader = openReader(file)
  await succeed(dir.path, 'start', '--yes')
  takeLedger(fleet, 'start')

  const confirmed: number[] = []
  const bursts: number[] = []
  const runs = new Map(options.rates.map((rate) => [rate, { runMs: [] as number[], lagMs: [] as number[] }]))
  for (let round = 0; round < options.rounds; round += 1) {
    confirmed.push(await confirmRate(broker.url, load.sample(), options.burst))
    const beganBurst = performance.now()
    load.append(options.burst)
    await reader.until(load.written)
    bursts.push((options.burst / (performance.now() - beganBurst)) * 1000)
    for (const [rate, { runMs, lagMs }] of runs) {
      const loading = load.run(rate)
      const began = performance.now()
      await succeed(dir.path, 'stop', '--yes')
      await succeed(dir.path, 'start', '--yes')
      runMs.push(performance.now() - began)
      await loading.stop()
      const stopped = performance.now()
      await reader.until(load.written)
      lagMs.push(performance.now() - stopped)
      takeLedger(fleet, 'stop', 'start')
    }
    await agents.traffic()
  }
  const measured: Measured[] = [...runs].map(([rate, { runMs, lagMs }]) => ({
    rate,
    runMs: spread(runMs),
    lagMs: spread(lagMs),
  }))
  const result = {
    eventBytes: load.sample().length,
    confirmed: spread(confirmed),
    carried: spread(bursts),
    measured,
  }
  console.log(lines(kind, options.hosts, result).join('\n'))
  follower.signal('SIGINT')
  return result
}

/** A source like an agent's: a database on disk and a relay. */
async function openLoad(dir: string, url: string) {
  await using stack = new AsyncDisposableStack()
  const db = stack.use(Database.open(join(dir, 'load.db'), { schema: { tables: auditTables } }))
  const log = new AuditLog(db, source, systemClock)
  const transport = stack.use(await openTransport([url], { name: 'bench load' }))
  stack.use(new Relay(log, transport))
  let written = 0
  const append = (count: number): void => {
    for (let left = count; left > 0; left -= batch) {
      const drafts = Array.from({ length: Math.min(left, batch) }, aDraft)
      db.transaction(() => log.append(drafts))
    }
    written += count
  }
  append(1)
  const [sample] = log.between({ after: 0, through: 1 })
  const disposal = stack.move()
  return {
    append,
    sample: () => Buffer.from(JSON.stringify(sample)),
    get written() {
      return written
    },
    /** Writes so many events a second, as agents do: a few in each transaction. */
    run(rate: number) {
      const began = performance.now()
      const before = written
      const timer = setInterval(() => {
        const due = Math.floor(((performance.now() - began) / 1000) * rate) - (written - before)
        if (due > 0) append(due)
      }, 20)
      return {
        async stop() {
          clearInterval(timer)
        },
      }
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  }
}

function aDraft(): AuditDraft {
  const action = randomUUID()
  return {
    type: 'filo.action.finished',
    subject: 'mta@load',
    data: {
      run: 'r20260101-000000-load',
      step: 'stop mta@load',
      action,
      operator: 'alice@admin1',
      outcome: 'success',
      ending: 'changed',
      reason: 'stopped, and seen to be stopped after 1 s',
      after: { state: 'stopped', live: 'no' },
    },
  }
}

/** Counts the load's events in a consumer's file as it grows. */
function openReader(path: string) {
  const chunk = Buffer.alloc(1 << 20)
  let file: number | undefined
  let offset = 0
  let count = 0
  const look = (): number => {
    if (file === undefined && existsSync(path)) file = openSync(path, 'r')
    if (file === undefined) return count
    for (;;) {
      const read = readSync(file, chunk, 0, chunk.length, offset)
      const whole = chunk.subarray(0, read).lastIndexOf('\n') + 1
      count += chunk.toString('latin1', 0, whole).split(`"source":"${source}"`).length - 1
      offset += whole
      if (whole === 0) return count
    }
  }
  return {
    async until(expected: number): Promise<void> {
      await until(`${expected} events in the file`, () => look() >= expected, {
        timeoutMs: 300_000,
        intervalMs: 10,
      })
    },
    [Symbol.dispose]: () => file !== undefined && closeSync(file),
  }
}

/** Messages a second that the broker confirms, as many at once as a relay has on their way. */
async function confirmRate(url: string, message: Buffer, count: number): Promise<number> {
  await using publisher = url.startsWith('amqp') ? await amqpPublisher(url) : await natsPublisher(url)
  const began = performance.now()
  for (let left = count; left > 0; left -= batch) {
    await Promise.all(Array.from({ length: Math.min(left, batch) }, () => publisher.publish(message)))
  }
  return (count / (performance.now() - began)) * 1000
}

interface Publisher extends AsyncDisposable {
  publish(message: Buffer): Promise<unknown>
}

/** To a queue like a consumer's. */
async function amqpPublisher(url: string): Promise<Publisher> {
  const connection = await connect(url)
  const channel = await connection.createConfirmChannel()
  const queue = `bench.${randomUUID()}`
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  return {
    publish: (message) =>
      new Promise<void>((resolve, reject) => {
        channel.sendToQueue(queue, message, { persistent: true }, (error) =>
          error ? reject(error) : resolve(),
        )
      }),
    async [Symbol.asyncDispose]() {
      await channel.deleteQueue(queue)
      await connection.close()
    },
  }
}

/** To a stream like that of the events. */
async function natsPublisher(url: string): Promise<Publisher> {
  const connection = await connectToNats(url)
  const { streams } = await jetstreamManager(connection)
  const name = `bench-${randomUUID()}`
  await streams.add({ name, subjects: [name], storage: StorageType.File })
  const client = jetstream(connection)
  return {
    publish: (message) => client.publish(name, message),
    async [Symbol.asyncDispose]() {
      await streams.delete(name)
      await connection.close()
    },
  }
}

function lines(
  kind: string,
  hosts: number,
  {
    eventBytes,
    confirmed,
    carried,
    measured,
  }: { eventBytes: number; confirmed: Spread; carried: Spread; measured: readonly Measured[] },
): string[] {
  const show = ({ median, min, max }: Spread, unit: string): string =>
    `${Math.round(median)} ${unit} (${Math.round(min)} to ${Math.round(max)})`
  return [
    `${kind}, events of ${eventBytes} bytes, ${hosts} hosts`,
    `  the broker confirms     ${show(confirmed, '/s')}`,
    `  the trail carries       ${show(carried, '/s')}`,
    ...measured.map(
      ({ rate, runMs, lagMs }) =>
        `  beside ${String(rate).padStart(5)} events/s  ${show(runMs, 'ms')}, the last kept after ${show(lagMs, 'ms')}`,
    ),
  ]
}
