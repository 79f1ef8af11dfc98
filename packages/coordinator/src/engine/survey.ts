import {
  instanceName,
  limits,
  type Clock,
  type InstanceName,
  type Observation,
  type Sha256,
} from '@filo/protocol'
import type { Link } from './link.ts'

/** What was learnt of one instance by asking once. */
export interface Sight {
  readonly service: string
  readonly host: string
  /** Absent when the host did not answer, or does not know the service as the fleet file has it. */
  readonly observation?: Observation
  /** Why there is no observation. */
  readonly silence?: string
  readonly definition?: Sha256
  /** How long ago it was asked for, when the answer was there, milliseconds. */
  readonly ageMs: number
}

/** What was learnt of one host. */
export interface HostSight {
  readonly host: string
  readonly answered: boolean
  readonly silence?: string
  /** The run that holds the host. */
  readonly heldBy?: { readonly run: string; readonly operator: string; readonly since: string }
  /** Its wall clock less ours, milliseconds; half the round trip is not known. */
  readonly clockAheadMs?: number
  readonly roundTripMs?: number
}

export interface Survey {
  readonly instances: ReadonlyMap<InstanceName, Sight>
  readonly hosts: ReadonlyMap<string, HostSight>
}

/**
 * Looks at instances once, all hosts side by side. Never throws for a host: one that does not answer within
 * `timeoutMs` is silent, and so are its instances.
 */
export async function survey(
  link: Link,
  clock: Clock,
  wanted: Iterable<{ readonly service: string; readonly host: string }>,
  timeoutMs: number,
): Promise<Survey> {
  const instances = new Map<InstanceName, Sight>()
  const hosts = new Map<string, HostSight>()
  const byHost = Map.groupBy(wanted, ({ host }) => host)
  await Promise.all(
    [...byHost].map(async ([host, all]) => {
      for (let at = 0; at < all.length; at += limits.servicesPerMessage) {
        const services = all.slice(at, at + limits.servicesPerMessage).map(({ service }) => service)
        const heard = await link.ask(host, 'observe', { services, settle: false }, timeoutMs)
        const ageMs = clock.sinceBoot() - heard.askedAtMs
        if (heard.kind === 'report') {
          const { report } = heard
          const holder = report.holder
          hosts.set(host, {
            host,
            answered: true,
            roundTripMs: ageMs,
            clockAheadMs: Date.parse(report.clock) - clock.wall().getTime(),
            ...(holder && { heldBy: { run: holder.run, operator: holder.operator, since: holder.since } }),
          })
          for (const { service, definition, observation } of report.observations) {
            instances.set(instanceName(service, host), { service, host, definition, observation, ageMs })
          }
        } else {
          const silence = heard.kind === 'silent' ? heard.reason : heard.refusal.detail
          if (!hosts.has(host)) hosts.set(host, { host, answered: false, silence })
          for (const service of services)
            instances.set(instanceName(service, host), { service, host, silence, ageMs })
        }
        for (const service of services) {
          const name = instanceName(service, host)
          const silence = `the agent of ${host} does not know it: filo agent-config ${host}`
          if (!instances.has(name)) instances.set(name, { service, host, silence, ageMs })
        }
      }
    }),
  )
  return { instances, hosts }
}
