import { headers } from '@nats-io/transport-node'
import { connect, type Channel } from 'amqplib'
import { connectToNats } from '../../support/connect-to-nats.ts'
import { messageType } from './message-type.ts'

/** A command as it went to a host's agent. */
export interface Frame {
  readonly host: string
  readonly content: Buffer
  /** `act`, `claim` …: what its envelope says that it is. */
  readonly type: string
}

type Take = (host: string, content: Buffer) => void

/** What it takes of a broker. */
interface Tap {
  /** Resolves when the broker has them. */
  deliver(frames: readonly Frame[]): Promise<void>
  close(): Promise<void>
}

/** By this header it knows what it has delivered itself. */
const mark = 'copy'

/** A peer on the broker with all rights there: has a copy of every command, and delivers what it likes. */
export class Wiretap implements AsyncDisposable {
  readonly frames: Frame[]
  readonly #tap: Tap

  private constructor(frames: Frame[], tap: Tap) {
    this.frames = frames
    this.#tap = tap
  }

  static async open(url: string, hosts: Iterable<string>): Promise<Wiretap> {
    const frames: Frame[] = []
    const take: Take = (host, content) => void frames.push({ host, content, type: messageType(content) })
    const tap = url.startsWith('amqp') ? tapRabbitmq(url, hosts, take) : tapNats(url, hosts, take)
    return new Wiretap(frames, await tap)
  }

  /** Delivers frames again, to the hosts they were for; what it delivers itself it does not record. */
  async deliver(frames: readonly Frame[]): Promise<void> {
    await this.#tap.deliver(frames)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tap.close()
  }
}

/** The mailbox of a host's agent is called so by both brokers, where its name has no dots. */
function addressOf(host: string): string {
  return `filo.agent.${host}`
}

async function tapRabbitmq(url: string, hosts: Iterable<string>, take: Take): Promise<Tap> {
  const model = await connect(url)
  const channel = await model.createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  for (const host of hosts) await channel.bindQueue(queue, 'filo.agents', addressOf(host))
  await channel.consume(
    queue,
    (message) => {
      if (message === null || message.properties.headers?.[mark] === true) return
      take(message.fields.routingKey.replace('filo.agent.', ''), message.content)
    },
    { noAck: true },
  )
  return {
    async deliver(frames) {
      for (const { host, content } of frames) {
        channel.publish('filo.agents', addressOf(host), content, { headers: { [mark]: true } })
      }
      await (channel as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms()
    },
    close: () => model.close(),
  }
}

async function tapNats(url: string, hosts: Iterable<string>, take: Take): Promise<Tap> {
  const connection = await connectToNats(url)
  for (const host of hosts) {
    connection.subscribe(addressOf(host), {
      callback: (_, { data, headers: its }) => {
        if (!its?.has(mark)) take(host, Buffer.from(data))
      },
    })
  }
  await connection.flush()
  return {
    async deliver(frames) {
      for (const { host, content } of frames) {
        const marked = headers()
        marked.set(mark, 'true')
        connection.publish(addressOf(host), content, { headers: marked })
      }
      await connection.flush()
    },
    close: () => connection.close(),
  }
}
