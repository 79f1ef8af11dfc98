import type { InstanceName } from '@filo/protocol'
import type { Fleet, Service } from '../../../packages/coordinator/src/fleet/fleet.ts'
import type { Effect } from './fake-host.ts'
import type { FakeService } from './fake-service.ts'

/**
 * How long ago a service may have been touched by hand for Filo not to know of it when it acts: a proof is 10 s old,
 * the command that relies on it 30 s, and the agent looks twice, a settle time apart, before it begins.
 */
const unseenMs = 50_000

/** Judges every effect at the moment of its beginning, by the services themselves and the meaning of the fleet file. */
export class Oracle {
  readonly faults: string[] = []
  readonly #fleet: Fleet
  readonly #services: ReadonlyMap<InstanceName, FakeService>
  readonly #nowMs: () => number
  readonly #isWaived: (instance: InstanceName) => boolean
  readonly #effects = new Map<string, number>()

  /** @param isWaived whether an operator has waived a step of the instance, or of one that it waits for. */
  constructor(
    fleet: Fleet,
    services: ReadonlyMap<InstanceName, FakeService>,
    nowMs: () => number,
    isWaived: (instance: InstanceName) => boolean,
  ) {
    this.#fleet = fleet
    this.#services = services
    this.#nowMs = nowMs
    this.#isWaived = isWaived
  }

  judge({ instance, verb, action }: Effect): void {
    const what = `${verb} ${instance}`
    if (action === undefined) return this.fault(`${what} without an action in the ledger`)
    const count = (this.#effects.get(action) ?? 0) + 1
    this.#effects.set(action, count)
    if (count > 1) this.fault(`${what} took effect ${count} times as ${action}`)
    if (verb === 'hook') return
    const service = this.#services.get(instance)!
    if (service.isBusy && !this.#isExcused(service))
      this.fault(`${what} while it is ${service.state} already`)
    if (verb === 'stop') this.#judgeStop(instance)
    if (verb === 'start') this.#judgeStart(instance)
  }

  fault(words: string): void {
    this.faults.push(`at ${Math.round(this.#nowMs())} ms: ${words}`)
  }

  #judgeStop(instance: InstanceName): void {
    for (const dependent of this.#services.values()) {
      if (!dependent.isLive || this.#isExcused(dependent)) continue
      const robbed = this.#needsOf(dependent.name).some(
        ({ of, enough }) => of.includes(instance) && this.#countStanding(of, instance) < enough,
      )
      if (robbed)
        this.fault(`stop ${instance} while ${dependent.name}, which needs it, is ${dependent.state}`)
    }
  }

  #judgeStart(instance: InstanceName): void {
    for (const { of, enough } of this.#needsOf(instance)) {
      if (this.#countStanding(of) < enough) {
        this.fault(`start ${instance} while of ${of.join(', ')} fewer than ${enough} run`)
      }
    }
  }

  /** Those that run, and those that Filo may in good faith take for running. */
  #countStanding(of: readonly InstanceName[], besides?: InstanceName): number {
    return of.filter((one) => {
      const service = this.#services.get(one)!
      return one !== besides && (service.state === 'running' || this.#isExcused(service))
    }).length
  }

  #isExcused({ name, touchedAtMs }: FakeService): boolean {
    return this.#nowMs() - touchedAtMs < unseenMs || this.#isWaived(name)
  }

  #needsOf(instance: InstanceName): { readonly of: InstanceName[]; readonly enough: number }[] {
    const [name] = instance.split('@') as [string]
    return this.#fleet.services
      .get(name)!
      .needs.filter(({ strength }) => strength === 'hard')
      .map(({ service }) => instancesOf(this.#fleet.services.get(service)!))
  }
}

function instancesOf({ name, hosts, enough }: Service): { of: InstanceName[]; enough: number } {
  return { of: hosts.map((host): InstanceName => `${name}@${host}`), enough: enough ?? hosts.length }
}
