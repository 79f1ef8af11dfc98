import {
  instanceName,
  limits,
  type Clock,
  type Freeze,
  type InstanceName,
  type Observation,
  type Sha256,
} from '@filo/protocol'
import type { Link, SilenceCause } from './link.ts'

/** What was learnt of one instance by asking once. */
export type Sight = {
  readonly service: string
  readonly host: string
  /** How long ago it was asked for, when the answer was there, milliseconds. */
  readonly ageMs: number
} & (
  | { readonly observation: Observation; readonly definition: Sha256; readonly silence?: never }
  /** The host did not answer, or does not know the service, and why. */
  | { readonly silence: string; readonly observation?: never; readonly definition?: never }
)

/** What was learnt of one host. */
export type HostSight = AnsweringHost | SilentHost

interface SightOfHost {
  readonly host: string
  /** The run that holds the host. */
  readonly heldBy?: { readonly run: string; readonly operator: string; readonly since: string }
}

export interface AnsweringHost extends SightOfHost {
  readonly answered: true
  /** Its wall clock less ours, milliseconds; half the round trip is not known. */
  readonly clockAheadMs: number
  readonly roundTripMs: number
  /** The boot that it is in. */
  readonly boot: string
  /** The coordinator's key that its agent went by. */
  readonly takenBy: string
  /** Why its agent begins nothing, and until when. */
  readonly freeze?: Freeze
  /** Which rights its agent lacks. */
  readonly lack?: string
}

export interface SilentHost extends SightOfHost {
  readonly answered: false
  readonly silence: string
  readonly cause: SilenceCause
}

export interface Survey {
  readonly instances: ReadonlyMap<InstanceName, Sight>
  readonly hosts: ReadonlyMap<string, HostSight>
}

/** What a survey is to see: an instance, or a host of which no service is asked for. */
export interface Wanted {
  readonly host: string
  readonly service?: string
}

/**
 * Looks at instances once, all hosts side by side. Never throws for a host: one that does not answer within
 * `timeoutMs` is silent, and so are its instances.
 */
export async function survey(
  link: Link,
  clock: Clock,
  wanted: Iterable<Wanted>,
  timeoutMs: number,
): Promise<Survey> {
  const instances = new Map<InstanceName, Sight>()
  const hosts = new Map<string, HostSight>()
  const byHost = Map.groupBy(wanted, ({ host }) => host)
  await Promise.all(
    [...byHost].map(async ([host, all]) => {
      const named = all.flatMap(({ service }) => service ?? [])
      for (let at = 0; at === 0 || at < named.length; at += limits.servicesPerMessage) {
        const services = named.slice(at, at + limits.servicesPerMessage)
        const heard = await link.ask(host, 'observe', { services, settle: false }, timeoutMs)
        const ageMs = clock.sinceBoot() - heard.askedAtMs
        if (heard.kind === 'report') {
          const { report } = heard
          const holder = report.holder
          hosts.set(host, {
            host,
            answered: true,
            roundTripMs: ageMs,
            boot: report.boot,
            takenBy: report.takenBy,
            ...(report.freeze && { freeze: report.freeze }),
            ...(report.lack !== null && { lack: report.lack }),
            clockAheadMs: Date.parse(report.clock) - clock.wall().getTime(),
            ...(holder && { heldBy: { run: holder.run, operator: holder.operator, since: holder.since } }),
          })
          for (const { service, definition, observation } of report.observations) {
            instances.set(instanceName(service, host), { service, host, definition, observation, ageMs })
          }
        } else {
          const silence = heard.kind === 'silent' ? heard.reason : heard.refusal.detail
          const cause = heard.kind === 'silent' ? heard.cause : 'no-answer'
          if (!hosts.has(host)) hosts.set(host, { host, answered: false, silence, cause })
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
