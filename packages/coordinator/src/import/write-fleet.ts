import { Document, isMap, visit, type Scalar } from 'yaml'

/** A fleet that was read from another program's configuration. */
export interface ImportedFleet {
  readonly name: string
  /** What stands above the file, without "#". */
  readonly heading: readonly string[]
  readonly hosts: readonly string[]
  readonly services: readonly ImportedService[]
  /** Each needs the one before. */
  readonly stages: readonly { readonly name: string; readonly services: readonly string[] }[]
}

export interface ImportedService {
  readonly name: string
  readonly hosts: readonly string[]
  /** The manager and the other keys of the service. */
  readonly keys: Readonly<Record<string, unknown>>
}

const farBroker = 'amqps://broker.example.net'

/** The text of a fleet file, as its author might have written it. */
export function writeFleet({ name, heading, hosts, services, stages }: ImportedFleet): string {
  const isLocal = hosts.length === 1
  const fleet = {
    fleet: name,
    broker: isLocal ? 'local' : farBroker,
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: Object.fromEntries(
      services.map((service) => [service.name, { hosts: oneOrList(service.hosts), ...service.keys }]),
    ),
    ...(stages.length > 0 && {
      stages: stages.map((stage) => ({ [stage.name]: oneOrList(stage.services) })),
    }),
  }
  const document = new Document(fleet, { aliasDuplicateObjects: false })
  document.commentBefore = heading.map((line) => ` ${line}`).join('\n')
  const brokerComment = isLocal
    ? ' Every host is this machine. With an amqps:// URL here the hosts are real.'
    : ' The RabbitMQ where agents and coordinator meet.'
  visit(document, {
    Pair(_, pair) {
      // Made of an object, so that every key is a text.
      const key = pair.key as Scalar<string>
      if (key.value === 'broker') key.commentBefore = brokerComment
      // What is within a service or a stage stands in one line.
      if (isMap(pair.value) && key.value !== 'services' && key.value !== 'hosts') {
        for (const inner of pair.value.items) if (isMap(inner.value)) inner.value.flow = true
      }
    },
    Seq(key, sequence) {
      if (key === 'value' && !sequence.items.some(isMap)) sequence.flow = true
    },
  })
  return document.toString({ lineWidth: 0, flowCollectionPadding: true, nullStr: '' })
}

function oneOrList(items: readonly string[]): string | readonly string[] {
  return items.length === 1 ? items[0]! : items
}
