import type { InstanceName } from '@filo/protocol'
import type { Fleet, Service as ServiceOfFile } from '../../../packages/coordinator/src/fleet/fleet.ts'
import type { Service } from '../world/service.ts'

// What Filo is for, judged by the services themselves at the moment at which something is done to one of them:
// nothing is stopped under what needs it, and nothing is started without what it needs.

/**
 * How long before a step is sent something may have happened that Filo need not know of: the age of a proof, and the
 * longest settle time of these fleets.
 */
const unseenMs = 12_000

interface NeedRead {
  readonly of: readonly InstanceName[]
  readonly enough: number
}

/** What is known of the action behind an effect. */
export interface Cause {
  /** When the coordinator sent it. */
  readonly sentAtMs: number
  /** Whether an operator has given their word for an instance, in the action's run. */
  readonly isWaived: (instance: string) => boolean
  /** Whether an action on an instance has begun and not ended, as far as its agent can know. */
  readonly isUnderWay: (instance: string) => boolean
}

export class Order {
  readonly #services: ReadonlyMap<InstanceName, Service>
  readonly #needs = new Map<InstanceName, readonly NeedRead[]>()
  readonly #keeps: ReadonlySet<string>
  readonly #violate: (words: string) => void

  constructor(fleet: Fleet, services: ReadonlyMap<InstanceName, Service>, violate: (words: string) => void) {
    this.#services = services
    this.#violate = violate
    this.#keeps = new Set([...fleet.services.values()].filter(({ keep }) => keep).map(({ name }) => name))
    for (const name of services.keys()) this.#needs.set(name, needsOf(fleet, name))
  }

  judgeStop(instance: InstanceName, cause: Cause): void {
    for (const dependent of this.#services.values()) {
      const isLeftAlone = this.#keeps.has(dependent.name.split('@')[0]!)
      if (!dependent.isLive || isLeftAlone || this.#isExcused(dependent, cause)) continue
      const robbed = this.#needs
        .get(dependent.name)!
        .some(({ of, enough }) => of.includes(instance) && this.#standing(of, cause, instance) < enough)
      if (robbed)
        this.#violate(`stop ${instance} while ${dependent.name}, which needs it, is ${dependent.state}`)
    }
  }

  /** A host is about to go down: nothing runs on it, and nothing elsewhere that needs what it had. */
  judgeGoing(host: string, cause: Cause): void {
    for (const service of this.#services.values()) {
      // What is down already was judged when it was stopped.
      if (service.name.split('@')[1] !== host || !service.isLive) continue
      if (!this.#isExcused(service, cause))
        this.#violate(`${host} is taken down while ${service.name} is ${service.state}`)
      // What an operator has given their word for is down, as far as Filo is to know; and so is no support of others.
      if (!cause.isWaived(service.name)) this.judgeStop(service.name, cause)
    }
  }

  judgeStart(instance: InstanceName, cause: Cause): void {
    for (const { of, enough } of this.#needs.get(instance)!) {
      if (this.#standing(of, cause) < enough) {
        this.#violate(`start ${instance} while of ${of.join(', ')} fewer than ${enough} run`)
      }
    }
  }

  /** Those that run, and those that Filo may in good faith take for running. */
  #standing(of: readonly InstanceName[], cause: Cause, besides?: InstanceName): number {
    return of.filter((one) => {
      const service = this.#services.get(one)!
      return one !== besides && (service.state === 'running' || this.#isExcused(service, cause))
    }).length
  }

  #isExcused(service: Service, { sentAtMs, isWaived, isUnderWay }: Cause): boolean {
    const { name, kind, state, touchedAtMs } = service
    // The status of an init script does not tell of a start that its script has given up.
    const isUnseen = kind === 'lsb' && state === 'starting' && !isUnderWay(name)
    return touchedAtMs >= sentAtMs - unseenMs || isWaived(name) || isUnseen
  }
}

function needsOf(fleet: Fleet, instance: InstanceName): NeedRead[] {
  const [name, host] = instance.split('@') as [string, string]
  return fleet.services.get(name)!.needs.flatMap(({ service, scope, strength }) => {
    if (strength !== 'hard') return []
    const needed: ServiceOfFile = fleet.services.get(service)!
    if (scope === 'same-host') {
      return needed.hosts.includes(host) ? [{ of: [`${service}@${host}`], enough: 1 }] : []
    }
    const of = needed.hosts.map((one): InstanceName => `${service}@${one}`)
    return [{ of, enough: needed.enough ?? of.length }]
  })
}
