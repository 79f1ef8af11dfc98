import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from 'amqplib'
import { connectToNats } from './connect-to-nats.ts'

/** Has a broker forget the events that a consumer has not read, as one does whose disk was lost or whose queue was full. */
export async function loseEvents(url: string, consumer: string): Promise<void> {
  if (url.startsWith('amqp')) {
    const connection = await connect(url)
    try {
      const channel = await connection.createChannel()
      await channel.purgeQueue(`filo.events.${consumer}`)
    } finally {
      await connection.close()
    }
    return
  }
  const connection = await connectToNats(url)
  try {
    await (await jetstreamManager(connection)).streams.purge('FILO_EVENTS')
  } finally {
    await connection.close()
  }
}
