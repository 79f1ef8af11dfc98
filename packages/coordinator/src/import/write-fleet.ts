import {
  COLLECTION_STYLE,
  defineScalarTag,
  dump,
  DUMP_SCHEMA,
  nullCoreTag,
  visit,
  type Document,
} from 'js-yaml'

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
  const brokerComment = isLocal
    ? 'Every host is this machine. With an amqps:// URL here the hosts are real.'
    : 'The RabbitMQ where agents and coordinator meet.'
  const sections = {
    broker: isLocal ? 'local' : farBroker,
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: Object.fromEntries(
      services.map((service) => [service.name, { hosts: oneOrList(service.hosts), ...service.keys }]),
    ),
    ...(stages.length > 0 && {
      stages: stages.map((stage) => ({ [stage.name]: oneOrList(stage.services) })),
    }),
  }
  const above = heading.length > 0 ? [...heading.map(comment), ''] : []
  const head = [...above, yaml({ fleet: name }).trimEnd(), comment(brokerComment)].join('\n')
  return `${head}\n${yaml(sections)}`
}

const comment = (line: string): string => `# ${line}`

/** What has no value is written as nothing. */
const schema = DUMP_SCHEMA.withTags(
  defineScalarTag(nullCoreTag.tagName, { ...nullCoreTag, represent: () => '' }),
)

function yaml(value: object): string {
  const transform = (documents: Document[]): void => documents.forEach(putInLines)
  return dump(value, { schema, noRefs: true, lineWidth: -1, flowBracketPadding: true, transform })
}

/** What is within a service or a stage stands in one line. */
function putInLines(document: Document): void {
  visit([document], (node, { depth }) => {
    const isPlainList = node.kind === 'sequence' && node.items.every(({ kind }) => kind !== 'mapping')
    if (isPlainList || (node.kind === 'mapping' && depth > inService)) node.style = COLLECTION_STYLE.FLOW
  })
}

/** How deep the keys of a service stand: document, `services`, its name. */
const inService = 2

function oneOrList(items: readonly string[]): string | readonly string[] {
  return items.length === 1 ? items[0]! : items
}
