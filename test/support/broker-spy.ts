import { connect } from 'amqplib'
import { connectToNats } from './connect-to-nats.ts'

/** Sees every message and event that goes through a broker, as its administrator can. */
export interface BrokerSpy extends AsyncDisposable {
  /** What stands in each: of an envelope, what was signed. */
  readonly seen: readonly string[]
}

export async function spyOnBroker(url: string): Promise<BrokerSpy> {
  const seen: string[] = []
  const see = (bytes: Uint8Array): void => void seen.push(contentOf(Buffer.from(bytes).toString('latin1')))
  return url.startsWith('amqp') ? await spyOnRabbitmq(url, see, seen) : await spyOnNats(url, see, seen)
}

function contentOf(text: string): string {
  const payload = /"payload":"([^"]*)"/.exec(text)?.[1]
  return payload === undefined ? text : Buffer.from(payload, 'base64').toString('latin1')
}

async function spyOnRabbitmq(
  url: string,
  see: (bytes: Uint8Array) => void,
  seen: readonly string[],
): Promise<BrokerSpy> {
  const connection = await connect(url)
  const channel = await connection.createChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  for (const exchange of ['filo.agents', 'filo.coordinators', 'filo.events']) {
    await channel.assertExchange(exchange, 'topic', { durable: true })
    await channel.bindQueue(queue, exchange, '#')
  }
  await channel.consume(queue, (message) => message && see(message.content), { noAck: true })
  return { seen, [Symbol.asyncDispose]: () => connection.close() }
}

async function spyOnNats(
  url: string,
  see: (bytes: Uint8Array) => void,
  seen: readonly string[],
): Promise<BrokerSpy> {
  const connection = await connectToNats(url)
  connection.subscribe('filo.>', { callback: (_, message) => see(message.data) })
  await connection.flush()
  return { seen, [Symbol.asyncDispose]: () => connection.close() }
}
