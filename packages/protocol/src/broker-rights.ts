import { asWord, eventQueueOf, exchanges, queueOf } from './amqp-topology.ts'
import { eventSubject, eventStream, inboxOf, mailboxSubject, ownerSubject } from './nats-topology.ts'

// The least that each user of a broker needs. Whatever is not named here it must not be able to do: a broker's account
// that was stolen is worth no more than this, and what was sent under it no more than its signature.

/** Whose account it is: the agent of one host, or a coordinator. */
export type Party = { readonly agent: string } | 'coordinator'

/** Permissions as `rabbitmqctl set_permissions` and `set_topic_permissions` take them: regular expressions. */
export interface AmqpRights {
  readonly configure: string
  readonly write: string
  readonly read: string
  /** Within what `write` and `read` allow, by routing key; an exchange that is not here is as these leave it. */
  readonly topics: readonly { readonly exchange: string; readonly write: string; readonly read: string }[]
}

const nothing = '^$'
const anyOf = (...patterns: readonly string[]): string => `^(${patterns.join('|')})$`
/** Names hold no other character that means something in a regular expression. */
const just = (name: string): string => name.replaceAll('.', '\\.')
const all = {
  coordinator: 'filo\\.coordinator\\..+',
  consumer: `${just(eventQueueOf(''))}.+`,
}

export function amqpRightsOf(party: Party): AmqpRights {
  const { agents, coordinators, events } = exchanges
  if (party === 'coordinator') {
    return {
      configure: anyOf(all.coordinator, all.consumer, ...[agents, coordinators, events].map(just)),
      write: anyOf(all.coordinator, all.consumer, just(agents), just(events)),
      read: anyOf(all.coordinator, all.consumer, just(coordinators), just(events)),
      topics: [{ exchange: events, write: '^coordinators\\.', read: '.*' }],
    }
  }
  const key = just(queueOf(party))
  // Beside the one that bears its name, an agent makes others where that is held by what is left of itself.
  const queues = `${key}(:.+)?`
  return {
    configure: anyOf(queues),
    write: anyOf(queues, just(coordinators), just(events)),
    read: anyOf(queues, just(agents)),
    topics: [
      { exchange: agents, write: nothing, read: anyOf(key) },
      { exchange: events, write: `^agents\\.${just(asWord(party.agent))}\\.`, read: nothing },
    ],
  }
}

/** Subjects, as the permissions of a user in nats-server.conf have them. */
export interface NatsRights {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

export function natsRightsOf(party: Party): NatsRights {
  if (party === 'coordinator') {
    const inbox = `${inboxOf('filo')}.>`
    const own = ['filo.owner.consumer.*', inbox]
    const api = (call: string): string => `$JS.API.${call}`
    return {
      publish: [
        ...own,
        'filo.agent.*',
        'filo.events.coordinators.>',
        ...['CREATE', 'INFO'].map((call) => api(`STREAM.${call}.${eventStream}`)),
        ...['CREATE', 'DURABLE.CREATE', 'INFO', 'MSG.NEXT'].map((call) =>
          api(`CONSUMER.${call}.${eventStream}.>`),
        ),
        `$JS.ACK.${eventStream}.>`,
      ],
      subscribe: [...own, 'filo.coordinator.*'],
    }
  }
  const inbox = `${inboxOf('filo-agent', party.agent)}.>`
  const own = [ownerSubject('agent', party.agent), inbox]
  return {
    publish: [
      ...own,
      'filo.coordinator.*',
      `${eventSubject({ source: `/agents/${party.agent}`, type: '' })}>`,
    ],
    subscribe: [...own, mailboxSubject(party)],
  }
}
