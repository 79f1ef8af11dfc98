import type {
  HookDefinition,
  HostDefinition,
  PowerDefinition,
  ServiceDefinition,
  TlsFiles,
} from '@filo/protocol'

// A fleet as the rest of the coordinator knows it: every name in it exists, every default is filled in, and its
// needs have no cycle. Only parse-fleet.ts makes one.

export interface Fleet {
  readonly name: string
  /** `local`: every host in the coordinator's own process. */
  readonly broker: 'local' | Broker
  /** The file with known secrets on each host, one a line. */
  readonly secrets?: string
  /** In the order of the file, which is the order in which people are shown them. */
  readonly hosts: ReadonlyMap<string, Host>
  readonly services: ReadonlyMap<string, Service>
  /** Each needs the one before. */
  readonly stages: readonly Stage[]
}

export interface Broker {
  /** One or more, of the same broker. */
  readonly urls: readonly string[]
  /** The coordinator's files of TLS. As the file has them they are relative to it. */
  readonly tls?: TlsFiles
  /** Those of each host, relative to its agent's configuration. */
  readonly tlsOnHosts?: TlsFiles
}

export interface Host {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** How it is rebooted and halted. */
  readonly power: PowerDefinition
  /** Who its agent runs as, and by sudo what needs root; absent: root. */
  readonly agentUser?: string
}

export interface Service {
  readonly name: string
  readonly hosts: readonly string[]
  /** What an agent that runs it is told. */
  readonly definition: ServiceDefinition
  readonly needs: readonly Need[]
  readonly hooks: readonly Hook[]
  /** How many running instances satisfy those who need it when they start; all where absent. */
  readonly enough?: number
  /** Left alone by a stop that does not name it. */
  readonly keep: boolean
  /** What of Filo itself lives in this service: it is never stopped while Filo uses it. */
  readonly carries: readonly Cargo[]
}

export type Cargo = 'broker' | 'store'

/** The service starts after `service` and stops before it. */
export interface Need {
  readonly service: string
  /** `all`: all its instances, or `enough` of them; `same-host`: the one on the same host. */
  readonly scope: 'all' | 'same-host'
  /** `hard` is proven and widens a selection; `order` only orders two steps that both are in the plan. */
  readonly strength: 'hard' | 'order'
}

export interface Hook {
  readonly definition: HookDefinition
  /** Where it runs; absent where that is the instance's own host. */
  readonly host?: string
}

/** Services that were declared as one layer of the fleet. */
export interface Stage {
  readonly name: string
  readonly services: readonly string[]
}

/**
 * A host's slice of the fleet: the services on it, the hooks that run there whosever they are, and how it is rebooted
 * and halted, unless it is the machine of the coordinator itself.
 */
export function hostDefinition(fleet: Fleet, host: string): HostDefinition {
  const services: ServiceDefinition[] = []
  const hooks: HookDefinition[] = []
  for (const service of fleet.services.values()) {
    const here = service.hosts.includes(host)
    if (here) services.push(service.definition)
    for (const hook of service.hooks) {
      if (hook.host === undefined ? here : hook.host === host) hooks.push(hook.definition)
    }
  }
  const own = { fleet: fleet.name, host, services, hooks }
  return fleet.broker === 'local' ? own : { ...own, power: fleet.hosts.get(host)!.power }
}
