import type { Channel } from 'amqplib'
import type { AuditEvent } from './audit-event.ts'
import { addressName, type Address, type EventFilter } from './transport.ts'

// The names that Filo uses in a broker. Administrators meet them in permissions and in the management pages.

export const exchanges = { agents: 'filo.agents', coordinators: 'filo.coordinators', events: 'filo.events' }

/** Idempotent; part of every set-up, because a broker may have come back without its data. */
export async function declareExchanges(channel: Channel): Promise<void> {
  await channel.assertExchange(exchanges.agents, 'direct', { durable: true })
  await channel.assertExchange(exchanges.coordinators, 'direct', { durable: true })
  await channel.assertExchange(exchanges.events, 'topic', { durable: true })
}

export function exchangeOf(address: Address): string {
  return 'agent' in address ? exchanges.agents : exchanges.coordinators
}

/** The name of a mailbox's queue, and the key it is bound by. */
export function queueOf(address: Address): string {
  return `filo.${addressName(address)}`
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
function asWord(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, ':')
}
