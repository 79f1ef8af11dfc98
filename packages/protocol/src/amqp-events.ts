import { IllegalOperationError, type Channel, type ConsumeMessage } from 'amqplib'
import { failWith, LastingConnection, type ConnectionSettings, type Link } from './amqp-connection.ts'
import { declareExchanges, eventQueueOf, exchanges, patternOf, routingKeyOf } from './amqp-topology.ts'
import { explain } from './amqp-url.ts'
import type { AuditEvent } from './audit-event.ts'
import { decodeEvent, DeliveryQueue, selects } from './event-log.ts'
import { limits } from './limits.ts'
import type { EventFilter, EventSubscription, TransportStatus } from './transport.ts'
import { briefly } from './waiting.ts'

/** Events that a consumer may have unacknowledged. */
const prefetch = 256

/** Unique within its channel, which has only this consumer. */
const consumerTag = 'events'

export interface EventConsumer {
  readonly name: string
  readonly filter: EventFilter
  report(status: TransportStatus): void
  /** Called for a message in the consumer's queue that is no audit event. */
  onMalformed(): void
  onEnded(): void
}

/**
 * A durable place in the event log. On a connection of its own: a quorum queue that a broker cannot serve closes
 * the connection that asks for it, and must not take mailboxes along.
 */
export async function subscribeAmqp(
  settings: ConnectionSettings,
  consumer: EventConsumer,
  signal: AbortSignal | undefined,
): Promise<EventSubscription> {
  let connection: LastingConnection<Channel> | undefined
  const deliveries = new DeliveryQueue(async () => {
    // Answered after all acknowledgements on the channel have been seen; those of a connection that is closed
    // at once are overtaken by the close.
    const channel = connection?.current
    if (channel !== undefined) await briefly(channel.cancel(consumerTag))
    await connection?.[Symbol.asyncDispose]()
    consumer.onEnded()
  })
  const setUp = async (link: Link): Promise<Channel> => {
    const channel = await link.model.createChannel()
    failWith(link, channel)
    // What the lost connection had delivered is not ours to acknowledge any more: it comes again.
    deliveries.clear()
    await declareExchanges(link.model)
    await declareQueue(channel, consumer)
    await channel.prefetch(prefetch)
    const take = (message: ConsumeMessage | null): void => {
      if (message === null) link.fail(`the broker ended the queue ${eventQueueOf(consumer.name)}`)
      else deliver(channel, message, { consumer, deliveries })
    }
    await channel.consume(eventQueueOf(consumer.name), take, { consumerTag })
    return channel
  }
  connection = await LastingConnection.open(settings, setUp, (status) => consumer.report(status))
  deliveries.endOn(signal)
  return deliveries
}

async function declareQueue(channel: Channel, { name, filter }: EventConsumer): Promise<void> {
  const queue = eventQueueOf(name)
  try {
    await channel.assertQueue(queue, {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-max-length-bytes': limits.eventQueueBytes,
        'x-overflow': 'drop-head',
        'x-single-active-consumer': true,
        // RabbitMQ 4 drops what was delivered 20 times; an event waits for its consumer however often that dies.
        'x-delivery-limit': 1_000_000_000,
      },
    })
  } catch (error) {
    throw new Error(
      `${explain(error)}; Filo keeps events in the quorum queue ${queue}, which takes RabbitMQ 3.10 or later ` +
        'and no other queue of that name',
      { cause: error },
    )
  }
  // A consumer that changes its filter keeps the old binding too; what it then no longer wants is left out here.
  await channel.bindQueue(queue, exchanges.events, patternOf(filter))
}

function deliver(
  channel: Channel,
  message: ConsumeMessage,
  { consumer, deliveries }: { consumer: EventConsumer; deliveries: DeliveryQueue },
): void {
  const event = decodeEvent(message.content)
  if (event === undefined || !isFromItsSource(event, message)) {
    consumer.onMalformed()
    // To a dead-letter exchange where the administrator has set one by policy; else it is gone.
    channel.nack(message, false, false)
  } else if (selects(consumer.filter, event)) {
    deliveries.push({ event, acknowledge: acknowledgeOnce(channel, message) })
  } else channel.ack(message)
}

/** What a user may publish is told by its routing key: an event of another source than its key names is nobody's. */
function isFromItsSource(event: AuditEvent, { fields }: ConsumeMessage): boolean {
  return fields.routingKey === routingKeyOf(event)
}

/** After its connection is lost an event comes again, and only then can be acknowledged. */
function acknowledgeOnce(channel: Channel, message: ConsumeMessage): () => void {
  let acknowledged = false
  return () => {
    if (acknowledged) return
    acknowledged = true
    try {
      channel.ack(message)
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw error
    }
  }
}
