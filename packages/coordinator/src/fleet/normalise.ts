import {
  CanopsisDefinition,
  GreenarrowDefinition,
  HookPoint,
  LsbDefinition,
  SupervisordDefinition,
  type HookDefinition,
  type ManagerDefinition,
  type PowerDefinition,
  type ServiceDefinition,
} from '@filo/protocol'
import { durationMs } from './duration.ts'
import type { FleetFile, HookEntry, HostEntry, NeedEntry, ServiceEntry } from './fleet-file.ts'
import type { Path } from './fleet-text.ts'
import type { Fleet, Hook, Host, Need, Service, Stage } from './fleet.ts'
import { managerKeys } from './manager-schema.ts'

// From what a file says to what it means: one form for everything that may be written in several.

const defaultTimeout = '90s'
const defaultHookTimeout = '30s'
/** Where every distribution with systemd has it, also where /usr is not merged. */
const systemctl = '/bin/systemctl'
/** Firmware, memory tests and file system checks of a large machine included. */
const defaultRebootTimeout = '10m'
const defaultHaltTimeout = '5m'

type Timings = NonNullable<FleetFile['defaults']>
type ManagerKey = (typeof managerKeys)[number]

export function listOf<Item>(value: Item | readonly Item[] | undefined): readonly Item[] {
  if (value === undefined) return []
  return Array.isArray(value) ? (value as readonly Item[]) : [value as Item]
}

/** Where the item stands that `listOf` gives at `index`. */
export function itemPath(value: unknown, path: Path, index: number): Path {
  return Array.isArray(value) ? [...path, index] : path
}

export function needOf(entry: string | NeedEntry): Need {
  if (typeof entry === 'string') return { service: entry, scope: 'all', strength: 'hard' }
  return { service: entry.service, scope: entry.scope ?? 'all', strength: entry.strength ?? 'hard' }
}

/** The managers that an entry names; a service that can be run has exactly one. */
export function managersOf(entry: Partial<ServiceEntry>): ManagerKey[] {
  return managerKeys.filter((key) => entry[key] !== undefined)
}

export function hooksOf(entry: Partial<ServiceEntry>): [HookPoint, HookEntry][] {
  return HookPoint.options.flatMap((at) => {
    const hook = entry.hooks?.[at]
    return hook === undefined ? [] : [[at, hook]]
  })
}

export function hostOf(name: string, entry: HostEntry): Host {
  const power: PowerDefinition = {
    reboot: entry?.reboot ?? [systemctl, 'reboot'],
    halt: entry?.halt ?? [systemctl, 'poweroff'],
    rebootTimeoutMs: durationMs(entry?.reboot_timeout ?? defaultRebootTimeout),
    haltTimeoutMs: durationMs(entry?.halt_timeout ?? defaultHaltTimeout),
  }
  const agentUser = entry?.agent_user
  return { name, labels: entry?.labels ?? {}, power, ...(agentUser !== undefined && { agentUser }) }
}

export function serviceOf(name: string, entry: ServiceEntry, defaults: Timings): Service {
  return {
    name,
    hosts: listOf(entry.hosts),
    definition: definitionOf(name, entry, defaults),
    needs: listOf(entry.needs).map(needOf),
    hooks: hooksOf(entry).map(([at, hook]) => hookOf(name, at, hook)),
    ...(entry.enough !== undefined && { enough: entry.enough }),
    keep: entry.keep ?? false,
    carries: listOf(entry.carries),
  }
}

export function brokerOf(entry: FleetFile['broker']): Fleet['broker'] {
  if (entry === 'local') return entry
  if (typeof entry === 'string' || Array.isArray(entry)) return { urls: listOf(entry) }
  const { url, tls, tls_on_hosts: tlsOnHosts = tls } = entry
  return { urls: listOf(url), ...(tls && { tls }), ...(tlsOnHosts && { tlsOnHosts }) }
}

export function stagesOf(file: Pick<FleetFile, 'stages'>): Stage[] {
  return (file.stages ?? []).flatMap((stage) =>
    Object.entries(stage).map(([name, services]) => ({ name, services: listOf(services) })),
  )
}

function definitionOf(name: string, entry: ServiceEntry, defaults: Timings): ServiceDefinition {
  const manager = managerOf(entry)
  const settle = entry.settle ?? defaults.settle ?? (manager.kind === 'systemd' ? '1s' : '0s')
  return {
    service: name,
    manager,
    ...(entry.ready && { ready: entry.ready }),
    startTimeoutMs: durationMs(entry.start_timeout ?? defaults.start_timeout ?? defaultTimeout),
    stopTimeoutMs: durationMs(entry.stop_timeout ?? defaults.stop_timeout ?? defaultTimeout),
    settleMs: durationMs(settle),
  }
}

type ManagerEntries = { readonly [Key in ManagerKey]: NonNullable<ServiceEntry[Key]> }

/** The managers as agents are told them. Defaults are those of the definitions. */
const definitions: { readonly [Key in ManagerKey]: (entry: ManagerEntries[Key]) => ManagerDefinition } = {
  systemd: (unit) => ({ kind: 'systemd', unit: unitOf(unit) }),
  lsb: (script) =>
    LsbDefinition.parse({ kind: 'lsb', ...(typeof script === 'string' ? { name: script } : script) }),
  supervisord: (program) =>
    SupervisordDefinition.parse({
      kind: 'supervisord',
      ...(typeof program === 'string' ? { program } : program),
    }),
  daemontools: (directory) => ({
    kind: 'daemontools',
    service: directory.startsWith('/') ? directory : `/service/${directory}`,
  }),
  command: (commands) => ({ kind: 'command', ...commands }),
  greenarrow: greenarrowOf,
  canopsis: (service) => CanopsisDefinition.parse({ kind: 'canopsis', ...service }),
}

function managerOf(entry: ServiceEntry): ManagerDefinition {
  const key = managersOf(entry)[0]!
  return defineManager(key, entry[key]!)
}

function defineManager<Key extends ManagerKey>(key: Key, entry: ManagerEntries[Key]): ManagerDefinition {
  return definitions[key](entry)
}

function greenarrowOf(entry: NonNullable<ServiceEntry['greenarrow']>): GreenarrowDefinition {
  if (typeof entry === 'string') return GreenarrowDefinition.parse({ kind: 'greenarrow', part: entry })
  const { part, hvmail_init: hvmailInit } = entry
  const own =
    part === 'mta'
      ? {
          expectedDown: entry.expected_down,
          apart: entry.apart,
          diskQueue: entry.disk_queue,
          ...(entry.disk_queue_wait && { diskQueueWaitMs: durationMs(entry.disk_queue_wait) }),
        }
      : { postgresManager: entry.postgres_manager, component: entry.component }
  return GreenarrowDefinition.parse({ kind: 'greenarrow', part, hvmailInit, ...own })
}

/** systemctl(1): a unit name without a suffix is a service. */
function unitOf(unit: string): string {
  const suffix = /\.(?:service|socket|target|timer|mount|automount|path|slice|scope|swap|device)$/
  return suffix.test(unit) ? unit : `${unit}.service`
}

function hookOf(service: string, at: HookPoint, entry: HookEntry): Hook {
  const definition: HookDefinition = {
    service,
    at,
    run: entry.run,
    timeoutMs: durationMs(entry.timeout ?? defaultHookTimeout),
    ...(entry.check && { check: entry.check }),
  }
  return entry.host === undefined ? { definition } : { definition, host: entry.host }
}
