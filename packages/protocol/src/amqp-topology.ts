import { randomUUID } from 'node:crypto'
import type { Channel, ChannelModel } from 'amqplib'
import type { AuditEvent } from './audit-event.ts'
import { addressName, type Address, type EventFilter } from './transport.ts'

// The names that Filo uses in a broker. Administrators meet them in permissions and in the management pages.

export const exchanges = { agents: 'filo.agents', coordinators: 'filo.coordinators', events: 'filo.events' }

/**
 * Idempotent; part of every set-up, because a broker may have come back without its data. To see that they are there takes no rights, so only
 * a coordinator needs to be allowed to make them. All are topic exchanges, for only there a right can name a routing key.
 */
export async function declareExchanges(model: ChannelModel): Promise<void> {
  const names = Object.values(exchanges)
  const areThere = await onChannelOfItsOwn(model, async (channel) => {
    for (const name of names) await channel.checkExchange(name)
    return true
  }).catch((error: unknown) => {
    if ((error as { code?: unknown }).code === notFound) return false
    throw error
  })
  if (areThere) return
  await onChannelOfItsOwn(model, async (channel) => {
    for (const name of names) await channel.assertExchange(name, 'topic', { durable: true })
  })
}

/** AMQP 0-9-1's reply code. */
const notFound = 404

/** What the broker refuses ends a channel, and must end no other than this. */
async function onChannelOfItsOwn<Value>(
  model: ChannelModel,
  ask: (channel: Channel) => Promise<Value>,
): Promise<Value> {
  const channel = await model.createChannel()
  let isOpen = true
  channel.on('error', () => {}) // told to who asked
  channel.on('close', () => (isOpen = false))
  try {
    return await ask(channel)
  } finally {
    if (isOpen) await channel.close().catch(() => {})
  }
}

export function exchangeOf(address: Address): string {
  return 'agent' in address ? exchanges.agents : exchanges.coordinators
}

/** The name of a mailbox's queue, and the key it is bound by. */
export function queueOf(address: Address): string {
  return `filo.${addressName(address)}`
}

/** A queue beside that one, bound by the same key, of a name that nobody else has. No name of a host has a colon in it. */
export function queueBeside(address: Address): string {
  return `${queueOf(address)}:${randomUUID()}`
}

export function eventQueueOf(consumer: string): string {
  return `filo.events.${consumer}`
}

/** AMQP limits a routing key to 255 bytes; the filter of a subscription does not rely on it. */
export function routingKeyOf(event: AuditEvent): string {
  const source = event.source.split('/').filter((part) => part !== '')
  return [...source.map(asWord), event.type].join('.').slice(0, 255)
}

/** The pattern of a topic exchange that matches at least what the filter selects. */
export function patternOf(filter: EventFilter): string {
  const source = filter.host === undefined ? '#' : `agents.${asWord(filter.host)}`
  if (filter.type !== undefined) return `${source}.${filter.type}.#`
  return filter.host === undefined ? '#' : `${source}.#`
}

/** A host's name may contain dots, which separate the words of a routing key. */
export function asWord(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, ':')
}
