import {
  cut,
  judge,
  limits,
  type Act,
  type Clock,
  type Goal,
  type ManagerDefinition,
  type ManagerKind,
  type Observation,
  type ReadyDefinition,
  type ServiceDefinition,
} from '@filo/protocol'
import { Deadline } from './deadline.ts'
import type { Manager, Sighting } from './managers/manager.ts'

/** How long one look at a manager, or one probe, may take before what it asks is `unknown`, milliseconds. */
export const lookTimeoutMs = 10_000

export type Managers = { readonly [Kind in ManagerKind]: Manager<Extract<ManagerDefinition, { kind: Kind }>> }

/** Whether a running service is ready by the probes that its definition declares. */
export type Probe = (
  definition: ReadyDefinition,
  signal: AbortSignal,
  timeoutMs: number,
) => Promise<{ readonly ready: boolean; readonly detail: string }>

/** An observation, and when the look that made it began, by the clock's `now`. */
export interface Looked {
  readonly observation: Observation
  readonly beganMs: number
}

/** Looks at services: asks their managers, probes what runs, and keeps for how long each state has held. */
export class Observer {
  readonly #managers: Managers
  readonly #probe: Probe
  readonly #clock: Clock
  /** Of each service, by the way it was, when the last look that saw it so was over. */
  readonly #seenAtMs = new Map<string, Map<string, number>>()

  constructor(managers: Managers, probe: Probe, clock: Clock) {
    this.#managers = managers
    this.#probe = probe
    this.#clock = clock
  }

  /** One observation for each definition, in their order; each manager is asked once for all of its services. */
  async look(definitions: readonly ServiceDefinition[], signal?: AbortSignal): Promise<Observation[]> {
    using deadline = new Deadline(this.#clock, this.#clock.now(), lookTimeoutMs, signal)
    const bounded = deadline.signal
    const seen = new Map<ServiceDefinition, Observation>()
    const byKind = Map.groupBy(definitions, ({ manager }) => manager.kind)
    await Promise.all(
      [...byKind].map(async ([kind, group]) => {
        const sightings = await this.#ask(kind, group, bounded)
        await Promise.all(
          group.map(async (definition, at) => {
            const observation = await this.#complete(definition, sightings[at]!, bounded)
            this.#note(definition.service, observation)
            seen.set(definition, observation)
          }),
        )
      }),
    )
    return definitions.map((definition) => seen.get(definition)!)
  }

  /** Looks, and where a state has to hold for a while to count, looks again once that while is over. */
  async lookSettled(definitions: readonly ServiceDefinition[]): Promise<Looked[]> {
    const beganMs = this.#clock.now()
    const first = await this.look(definitions)
    const waits = definitions.map(({ settleMs }, at) => {
      const isStill = (['running', 'stopped'] as Goal[]).some(
        (goal) => judge(first[at]!, goal, 0) === 'proves',
      )
      return isStill ? Math.max(0, settleMs - first[at]!.heldMs) : 0
    })
    const waitMs = Math.max(0, ...waits)
    if (waitMs === 0) return first.map((observation) => ({ observation, beganMs }))
    const seenMs = this.#clock.now()
    // A timer may fire a little early, and a state that held 999 ms has not held a second.
    await this.#clock.sleep(Math.ceil(waitMs) + 1)
    const beganAgainMs = this.#clock.now()
    const again = definitions.filter((_, at) => waits[at]! > 0)
    const second = await this.look(again)
    return definitions.map((definition, at) => {
      const newer = second[again.indexOf(definition)]
      if (newer === undefined) return { observation: first[at]!, beganMs }
      const { service } = definition
      const observation = this.#carryOn(service, first[at]!, newer, seenMs, beganAgainMs)
      return { observation, beganMs: beganAgainMs }
    })
  }

  /**
   * Whether a look, for whomever, that was over after `sinceMs` by the clock's `now`, saw a service otherwise than it is seen
   * now: then it has not been so since.
   */
  hasSeenOtherwise(service: string, seen: Observation, sinceMs: number): boolean {
    const way = wayOf(seen)
    return [...this.#seenAtMs.get(service)!].some(([other, atMs]) => other !== way && atMs > sinceMs)
  }

  /** The newer of two observations, vouched for since the older where nothing has changed between them. */
  #carryOn(
    service: string,
    older: Observation,
    newer: Observation,
    seenMs: number,
    beganMs: number,
  ): Observation {
    if (!isSame(older, newer)) return newer
    if (this.hasSeenOtherwise(service, newer, seenMs)) return newer
    return { ...newer, heldMs: Math.max(newer.heldMs, older.heldMs + beganMs - seenMs) }
  }

  async #ask(
    kind: ManagerKind,
    group: readonly ServiceDefinition[],
    signal: AbortSignal,
  ): Promise<Sighting[]> {
    // The kind of a definition and that of its manager agree by construction, which the type cannot follow.
    const manager = this.#managers[kind] as Manager
    try {
      return await manager.observe(
        group.map((definition) => definition.manager),
        signal,
      )
    } catch (error) {
      const detail = `the ${kind} manager could not look: ${error instanceof Error ? error.message : String(error)}`
      return group.map(() => ({ state: 'unknown', live: 'unknown', detail }))
    }
  }

  #note(service: string, seen: Observation): void {
    const ways = this.#seenAtMs.get(service) ?? new Map<string, number>()
    this.#seenAtMs.set(service, ways.set(wayOf(seen), this.#clock.now()))
  }

  async #complete(
    definition: ServiceDefinition,
    sighting: Sighting,
    signal: AbortSignal,
  ): Promise<Observation> {
    const { state, live, detail, heldMs, since, processes, warnings } = sighting
    const probed =
      definition.ready !== undefined && state === 'running'
        ? await this.#probe(definition.ready, signal, lookTimeoutMs)
        : undefined
    return {
      state,
      live,
      ...(probed && { ready: probed.ready ? 'yes' : 'no' }),
      detail: cut(probed === undefined || probed.ready ? detail : `${detail}; not ready: ${probed.detail}`),
      manager: definition.manager.kind,
      heldMs: heldMs ?? 0,
      seenAt: this.#clock.wall().toISOString(),
      ...(since && { since: since.toISOString() }),
      ...(processes && { processes: processes.slice(0, limits.processesNamed) }),
      ...(warnings && { warnings: warnings.slice(0, 8).map((warning) => cut(warning)) }),
    }
  }
}

export function isSame(one: Observation, other: Observation): boolean {
  return wayOf(one) === wayOf(other)
}

function wayOf({ state, live, ready }: Observation): string {
  return `${state} ${live} ${ready ?? ''}`
}

/**
 * What is seen of an instance while actions on it have begun and not ended. That it has not moved yet proves nothing
 * to those who did not ask for the action: a run that has taken the host over inherits what runs (R8).
 */
export function underWay(
  seen: Observation,
  actions: readonly { readonly verb: Act['verb'] }[] = [],
): Observation {
  const isStarting = seen.live === 'no' && actions.some(({ verb }) => verb === 'start')
  if (isStarting) {
    return {
      ...seen,
      state: 'starting',
      live: 'unknown',
      detail: cut(`${seen.detail}; a start is under way`),
    }
  }
  const isStopping = seen.state === 'running' && actions.some(({ verb }) => verb === 'stop')
  return isStopping
    ? { ...seen, state: 'stopping', detail: cut(`${seen.detail}; a stop is under way`) }
    : seen
}
