import {
  CanopsisDefinition,
  GreenarrowDefinition,
  HookPoint,
  LsbDefinition,
  SupervisordDefinition,
  type DaemontoolsDefinition,
  type HookDefinition,
  type ManagerDefinition,
  type ServiceDefinition,
  type CommandDefinition,
  type SystemdDefinition,
} from '@filo/protocol'
import { durationMs } from './duration.ts'
import type { FleetFile, HookEntry, NeedEntry, ServiceEntry } from './fleet-file.ts'
import type { Path } from './fleet-text.ts'
import type { Hook, Need, Service, Stage } from './fleet.ts'
import { managerKeys } from './manager-schema.ts'

// From what a file says to what it means: one form for everything that may be written in several.

const defaultTimeout = '90s'
const defaultHookTimeout = '30s'

type Timings = NonNullable<FleetFile['defaults']>

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
export function managersOf(entry: Partial<ServiceEntry>): (typeof managerKeys)[number][] {
  return managerKeys.filter((key) => entry[key] !== undefined)
}

export function hooksOf(entry: Partial<ServiceEntry>): [HookPoint, HookEntry][] {
  return HookPoint.options.flatMap((at) => {
    const hook = entry.hooks?.[at]
    return hook === undefined ? [] : [[at, hook]]
  })
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

/** The manager of a service as its agent is told it. Defaults are those of the definition. */
function managerOf(entry: ServiceEntry): ManagerDefinition {
  const { systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis } = entry
  if (systemd !== undefined) return { kind: 'systemd', unit: unitOf(systemd) } satisfies SystemdDefinition
  if (lsb !== undefined) {
    return LsbDefinition.parse({ kind: 'lsb', ...(typeof lsb === 'string' ? { name: lsb } : lsb) })
  }
  if (supervisord !== undefined) {
    const program = typeof supervisord === 'string' ? { program: supervisord } : supervisord
    return SupervisordDefinition.parse({ kind: 'supervisord', ...program })
  }
  if (daemontools !== undefined) {
    const service = daemontools.startsWith('/') ? daemontools : `/service/${daemontools}`
    return { kind: 'daemontools', service } satisfies DaemontoolsDefinition
  }
  if (command !== undefined) return { kind: 'command', ...command } satisfies CommandDefinition
  if (greenarrow !== undefined) return greenarrowOf(greenarrow)
  if (canopsis !== undefined) return CanopsisDefinition.parse({ kind: 'canopsis', ...canopsis })
  throw new Error('a service without a manager has been accepted')
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
