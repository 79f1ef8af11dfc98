import { RetentionPolicy, DiscardPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream'
import type { AuditEvent } from './audit-event.ts'
import { limits } from './limits.ts'
import type { Address } from './transport.ts'

// The names that Filo uses in NATS. Administrators meet them in permissions and in `nats stream ls`.

export const eventStream = 'FILO_EVENTS'

export function mailboxSubject(address: Address): string {
  return 'agent' in address
    ? `filo.agent.${asToken(address.agent)}`
    : `filo.coordinator.${asToken(address.coordinator)}`
}

/** Where those who want to own something speak with its owner. */
export function ownerSubject(what: 'agent' | 'consumer', name: string): string {
  return `filo.owner.${what}.${asToken(name)}`
}

export function eventSubject(event: Pick<AuditEvent, 'source' | 'type'>): string {
  const source = event.source.split('/').filter((part) => part !== '')
  return ['filo', 'events', ...source.map(asToken), event.type].join('.')
}

/** A durable consumer's name takes no dots. */
export function consumerName(consumer: string): string {
  return asToken(consumer)
}

/** Where a connection is answered: by its program, and who that is. Only its own user needs to be allowed to listen there. */
export function inboxPrefix(connectionName: string): string {
  const [program = '', ...rest] = connectionName.split(' ')
  return inboxOf(program, ...(rest.length > 0 ? [rest.join(' ')] : []))
}

export function inboxOf(...names: readonly string[]): string {
  return ['_INBOX', ...names.map(asToken)].join('.')
}

/** Limits retention: what is old makes room for what is new, whether somebody has read it or not. */
export function eventStreamConfig(replicas: number): Partial<StreamConfig> & { name: string } {
  return {
    name: eventStream,
    subjects: ['filo.events.>'],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_bytes: limits.eventQueueBytes,
    num_replicas: replicas,
  }
}

/** One token of a subject: a host's name may have dots, which separate tokens. */
function asToken(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, (character) => `=${character.codePointAt(0)!.toString(16)}`)
}
