import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseSigningKey, seal, type Message } from '@filo/protocol'
import { connect } from 'amqplib'
import { connectToNats } from '../../support/connect-to-nats.ts'
import { Dice } from '../../support/dice.ts'

// A program of its own: floods mailboxes with what a peer can make that has all rights on the broker, everything that
// was ever said, and the key of one agent. It signs once and changes many times.
//
// Its only argument is a Campaign as JSON. It prints one line for each target, as JSON: how many of which kind, and how many
// the broker had nobody for.

/** Whose mailbox is flooded. */
export interface Target {
  /** In NATS the key alone is the address. */
  readonly exchange: 'filo.agents' | 'filo.coordinators'
  readonly key: string
  /** The process that reads it: it is never left more than some megabytes behind. */
  readonly pid: number
  readonly messages: number
}

export interface Campaign {
  readonly url: string
  readonly seed: number
  readonly targets: readonly Target[]
  /** Envelopes that were overheard, base64. */
  readonly overheard: readonly string[]
  /** PEM of the key that it has. */
  readonly key: string
  /** Bodies of results and commands that it signs with that key: for other hosts, of old grants. */
  readonly forgeries: readonly Message[]
}

/** How far the reader may be behind, bytes. Who floods a mailbox until it is full only keeps everybody out. */
const backlogBytes = 4 * 1024 * 1024
/** What the broker adds to a message on the wire, at the least. */
const overheadBytes = 60
const batch = 250

type Make = (dice: Dice, base: Buffer) => Buffer

const text =
  (bytes: string): Make =>
  () =>
    Buffer.from(bytes)
const rewrite =
  (change: (envelope: string) => string): Make =>
  (_, base) =>
    Buffer.from(change(base.toString()))

const kinds: Readonly<Record<string, Make>> = {
  replayed: (_, base) => base,
  'one bit flipped': (dice, base) => {
    const changed = Buffer.from(base)
    changed[dice.between(0, base.length - 1)]! ^= 1 << dice.between(0, 7)
    return changed
  },
  truncated: (dice, base) => base.subarray(0, dice.between(0, base.length - 1)),
  'of another type': (dice, base) => {
    const type = dice.pick([
      'act',
      'claim',
      'release',
      'abort',
      'seal',
      'result',
      'report',
      'refusal',
      '__proto__',
    ])
    return Buffer.from(base.toString().replace(/vnd\.filo\.\w+/, `vnd.filo.${type}`))
  },
  'a key twice': rewrite((envelope) => envelope.replace('{', '{"payload":"e30=","signatures":[],')),
  __proto__: rewrite((envelope) => envelope.replace('{', '{"__proto__":{"trusted":true},"constructor":{},')),
  'deep JSON': (dice) => Buffer.from('[{"a":'.repeat(dice.between(9, 5000))),
  'deep JSON, closed': (dice) => {
    const depth = dice.between(17, 5000)
    return Buffer.from('['.repeat(depth) + ']'.repeat(depth))
  },
  'random bytes': (dice) => randomBytes(dice.between(0, 600)),
  'half a surrogate': text('{"payloadType":"\\ud800","payload":"\\udfff","signatures":[]}'),
  'another spelling of base64': rewrite((envelope) => envelope.replace(/"payload":"(.)/, '"payload":" $1')),
  empty: text(''),
  'many signatures': rewrite((envelope) =>
    envelope.replace('"signatures":[', `"signatures":[${'{},'.repeat(1000)}`),
  ),
  'just over the limit': (dice) => Buffer.alloc(64 * 1024 + dice.between(1, 100), ' '),
}
/** What takes long to make or to carry is rare. */
const rare: Readonly<Record<string, number>> = {
  'just over the limit': 0.01,
  'many signatures': 0.1,
  'deep JSON': 0.3,
}
/** So often a message is as large as the broker takes it by default. */
const hugeEvery = 100_000

/** Bytes that a process has read from files and sockets, proc_pid_io(5). */
function readBy(pid: number): number {
  return Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1])
}

/** How it gets its messages to one mailbox. */
interface Way {
  /** The largest message that the broker takes by default, bytes. */
  readonly mostBytes: number
  publish(content: Buffer, dice: Dice): void
  /** Resolves when the broker has had them all. */
  flush(): Promise<void>
  /** How many messages the broker had nobody for. */
  returned(): number
}

async function throughRabbitmq(
  url: string,
): Promise<{ to(target: Target): Promise<Way>; close(): Promise<void> }> {
  const model = await connect(url)
  return {
    async to({ exchange, key }) {
      const channel = await model.createConfirmChannel()
      let returned = 0
      channel.on('return', () => (returned += 1))
      return {
        mostBytes: 16 * 1024 * 1024,
        publish(content, dice) {
          // Around the permissions of topics: to nobody, and by these headers to the mailbox after all.
          const around = dice.pick([undefined, undefined, 'CC', 'BCC'])
          const options = { mandatory: true, ...(around !== undefined && { [around]: [key] }) }
          channel.publish(exchange, around === undefined ? key : 'nobody', content, options)
        },
        flush: () => channel.waitForConfirms().catch(() => {}),
        returned: () => returned,
      }
    },
    close: () => model.close(),
  }
}

async function throughNats(
  url: string,
): Promise<{ to(target: Target): Promise<Way>; close(): Promise<void> }> {
  const connection = await connectToNats(url)
  let returned = 0
  const replies = 'hostile.replies'
  connection.subscribe(replies, {
    callback: (_, { headers }) => {
      if (headers?.code === 503) returned += 1
    },
  })
  return {
    to: async ({ key }) => ({
      mostBytes: 1024 * 1024,
      publish: (content) => connection.publish(key, content, { reply: replies }),
      flush: () => connection.flush(),
      returned: () => returned,
    }),
    close: () => connection.close(),
  }
}

async function flood(way: Way, target: Target, campaign: Campaign): Promise<Record<string, number>> {
  const dice = new Dice(campaign.seed + target.pid)
  const key = parseSigningKey(campaign.key)
  const forged = campaign.forgeries.map((message) => Buffer.from(seal(message, key).bytes))
  const overheard = campaign.overheard.map((envelope) => Buffer.from(envelope, 'base64'))
  const huge = Buffer.alloc(way.mostBytes, 'x')
  const names = Object.keys(kinds)
  const counts: Record<string, number> = {}
  const readAtFirst = readBy(target.pid)
  let sentBytes = 0
  const keepPace = async (): Promise<void> => {
    while (sentBytes - (readBy(target.pid) - readAtFirst) > backlogBytes) await delay(2)
  }
  for (let at = 1; at <= target.messages; at += 1) {
    let kind = dice.happens(0.2) ? 'forged' : dice.pick(names)
    if (!dice.happens(rare[kind] ?? 1)) kind = 'one bit flipped'
    if (at % hugeEvery === 0) kind = 'huge'
    const base = dice.pick(dice.happens(0.5) && forged.length > 0 ? forged : overheard)
    const content = kind === 'huge' ? huge : kind === 'forged' ? dice.pick(forged) : kinds[kind]!(dice, base)
    counts[kind] = (counts[kind] ?? 0) + 1
    way.publish(content, dice)
    sentBytes += content.length + overheadBytes
    if (at % batch === 0) {
      await way.flush()
      await keepPace()
    }
  }
  await way.flush()
  return counts
}

const campaign = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Campaign
const peer = await (campaign.url.startsWith('amqp') ? throughRabbitmq : throughNats)(campaign.url)
await Promise.all(
  campaign.targets.map(async (target) => {
    const way = await peer.to(target)
    const counts = await flood(way, target, campaign)
    process.stdout.write(`${JSON.stringify({ key: target.key, counts, returned: way.returned() })}\n`)
  }),
)
await peer.close()
