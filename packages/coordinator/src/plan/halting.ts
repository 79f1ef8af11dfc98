import type { Topology } from '../fleet/topology.ts'
import type { Draft, Laid, Ref } from './draft.ts'
import type { HostStep } from './plan.ts'

/**
 * Lays reboots and halts after the stops of a plan. A host goes down once all that runs on it is proven not to be
 * live, and every other stop has ended: what comes up with its boot, or is gone for good, can prove nothing more to
 * those that are still to stop. Hooks that run on it are over by then.
 */
export class Halting {
  readonly #draft: Draft
  readonly #stopsOn: ReadonlyMap<string, readonly Ref[]>
  readonly #allEnded: Ref | undefined

  constructor(draft: Draft, topology: Topology, stops: ReadonlyMap<number, Laid>) {
    this.#draft = draft
    const byHost = Map.groupBy(stops, ([instance]) => topology.instances[instance]!.host)
    this.#stopsOn = new Map([...byHost].map(([host, all]) => [host, all.map(([, { proven }]) => proven)]))
    const ended = [...stops.values()].flatMap((laid) => laid.ended)
    this.#allEnded = draft.all(ended, 'follows')
  }

  /** @param needs what must be proven besides */
  lay(kind: HostStep['kind'], host: string, needs: readonly Ref[]): void {
    this.#draft.power(kind, host, {
      needs: [...(this.#stopsOn.get(host) ?? []), ...needs],
      follows: this.#allEnded === undefined ? [] : [this.#allEnded],
    })
  }
}
