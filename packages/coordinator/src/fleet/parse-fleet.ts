import { FleetFile, ServiceEntry, StageEntry } from './fleet-file.ts'
import { FleetText } from './fleet-text.ts'
import type { Fleet } from './fleet.ts'
import { addIssues } from './issue.ts'
import { managers } from './manager-schema.ts'
import { addCycleFaults } from './need-cycles.ts'
import { brokerOf, hostOf, serviceOf, stagesOf } from './normalise.ts'
import type { Problem } from './problem.ts'
import { addReferenceFaults, addUserFaults, type Entries, type Names } from './references.ts'

export type ParsedFleet =
  | { readonly kind: 'fleet'; readonly fleet: Fleet }
  | { readonly kind: 'refused'; readonly problems: Problem[] }

/** Reads the text of a fleet file. Everything that is wrong with it comes at once; never throws. */
export function parseFleet(text: string, file: string): ParsedFleet {
  const source = new FleetText(text, file)
  if (source.value === undefined) return { kind: 'refused', problems: source.problems() }
  const parsed = FleetFile.safeParse(source.value)
  if (parsed.success) addUserFaults(source, parsed.data)
  else addIssues(source, parsed.error.issues)
  const entries = parsed.success ? entriesOf(parsed.data) : wellFormedEntries(source.value)
  addReferenceFaults(source, namesIn(source.value), entries)
  addCycleFaults(source, entries)
  const problems = source.problems()
  if (problems.length > 0 || !parsed.success) return { kind: 'refused', problems }
  return { kind: 'fleet', fleet: fleetOf(parsed.data) }
}

function fleetOf(file: FleetFile): Fleet {
  const defaults = file.defaults ?? {}
  return {
    name: file.fleet,
    broker: brokerOf(file.broker),
    ...(file.secrets !== undefined && { secrets: file.secrets }),
    hosts: new Map(Object.entries(file.hosts).map(([name, entry]) => [name, hostOf(name, entry)])),
    services: new Map(
      Object.entries(file.services).map(([name, entry]) => [name, serviceOf(name, entry, defaults)]),
    ),
    stages: stagesOf(file),
  }
}

function entriesOf(file: FleetFile): Entries {
  return { services: new Map(Object.entries(file.services)), stages: file.stages ?? [] }
}

/** What of a faulty file can still be checked, so that the faults of one entry do not hide those of another. */
function wellFormedEntries(value: unknown): Entries {
  const services = new Map<string, Partial<ServiceEntry>>()
  for (const [name, entry] of Object.entries(mappingAt(value, 'services'))) {
    if (typeof entry === 'object' && entry !== null) services.set(name, wellFormedKeys(entry as object))
  }
  const stages = memberOf(value, 'stages')
  const parsed = Array.isArray(stages) ? stages.map((stage) => StageEntry.safeParse(stage)) : []
  return { services, stages: parsed.map((stage) => (stage.success ? stage.data : {})) }
}

function wellFormedKeys(entry: object): Partial<ServiceEntry> {
  const kept = Object.entries(entry).filter(([key, value]) => {
    if (!Object.hasOwn(ServiceEntry.shape, key)) return false
    if (Object.hasOwn(managers, key)) return true
    return ServiceEntry.shape[key as keyof ServiceEntry].safeParse(value).success
  })
  return Object.fromEntries(kept)
}

function namesIn(value: unknown): Names {
  return {
    hosts: Object.keys(mappingAt(value, 'hosts')),
    services: Object.keys(mappingAt(value, 'services')),
  }
}

function mappingAt(value: unknown, key: string): object {
  const member = memberOf(value, key)
  return typeof member === 'object' && member !== null && !Array.isArray(member) ? member : {}
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}
