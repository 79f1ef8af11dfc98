import type { HookDefinition, HookPoint, PowerDefinition, ServiceDefinition, Sha256 } from '@filo/protocol'
import type { Instance, Topology } from '../fleet/topology.ts'
import type { HostStep, Intention, Join, Plan, PlannedService, Step } from './plan.ts'

/** A step or a join of a draft. Joins count down from -1 until the number of steps is known. */
export type Ref = number

/** What a step waits for: `needs` proven, `follows` ended. */
export interface Waits {
  readonly needs: readonly Ref[]
  readonly follows: readonly Ref[]
}

/** SHA-256 of a definition's canonical JSON. Hashing is Node's, so the shell brings it. */
export type Digest = (definition: ServiceDefinition | HookDefinition | PowerDefinition) => Sha256

/** What an instance's steps are to those who wait for them. */
export interface Laid {
  /** The start, stop or prove step itself. */
  readonly step: Ref
  /** What must be proven for the instance to be where the step wants it, its hook included. */
  readonly proven: Ref
  /** What must have ended for the step to be over, its hook included. */
  readonly ended: readonly Ref[]
}

/** A plan that grows in the order in which its steps could be carried out. */
export class Draft {
  readonly #topology: Topology
  readonly #digest: Digest
  readonly #steps: Step[] = []
  readonly #joins: Join[] = []
  readonly #because: (Ref | undefined)[] = []
  readonly #services = new Map<string, PlannedService>()
  /** By host: its reboot, for which all waits that is started there. */
  readonly #reboots = new Map<string, Ref>()

  constructor(topology: Topology, digest: Digest) {
    this.#topology = topology
    this.#digest = digest
  }

  /** One ref for many; none for none. `enough` of them satisfy it, or all. */
  all(refs: Iterable<Ref>, strength: keyof Waits = 'needs', enough?: number): Ref | undefined {
    const inputs = [...new Set(refs)]
    if (inputs.length <= 1) return inputs[0]
    this.#joins.push({
      needs: strength === 'needs' ? inputs : [],
      follows: strength === 'follows' ? inputs : [],
      ...(enough !== undefined && enough < inputs.length && { enough }),
    })
    return -this.#joins.length
  }

  prove(instance: number, goal: 'running' | 'stopped', waits: Waits): Laid {
    const step = this.#add({ kind: 'prove', goal, ...this.#place(instance), ...once(waits) })
    return { step, proven: step, ended: [step] }
  }

  /**
   * A start or stop with its hooks: the one before has the same waits and is needed by the step; the one after
   * needs the step, and whoever waits for the step waits for both.
   */
  act(kind: 'start' | 'stop', instance: number, waits: Waits): Laid {
    const before = this.#hook(`before_${kind}`, instance, waits, this.#steps.length + 1)
    const needs = before === undefined ? waits.needs : [...waits.needs, before]
    const step = this.#add({ kind, ...this.#place(instance), ...once({ ...waits, needs }) })
    const after = this.#hook(`after_${kind}`, instance, { needs: [step], follows: [] }, step)
    if (after === undefined) return { step, proven: step, ended: [step] }
    return { step, proven: this.all([step, after])!, ended: [step, after] }
  }

  power(kind: HostStep['kind'], host: string, waits: Waits): Ref {
    const { power } = this.#topology.fleet.hosts.get(host)!
    const timeoutMs = kind === 'reboot' ? power.rebootTimeoutMs : power.haltTimeoutMs
    const step = this.#add({ kind, host, definition: this.#digest(power), timeoutMs, ...once(waits) })
    if (kind === 'reboot') this.#reboots.set(host, step)
    return step
  }

  rebootOf(host: string): Ref | undefined {
    return this.#reboots.get(host)
  }

  /** Says which step's needs brought `step` into the plan; either may still be added to. */
  setBecause(step: Ref, reason: Ref): void {
    this.#because[step] = reason
  }

  /** Notes for each step which other brought it in, where `because` gives for its instance another instance. */
  setReasons(because: Int32Array, laid: ReadonlyMap<number, Laid>): void {
    for (const [instance, { step }] of laid) {
      const reason = laid.get(because[instance]!)
      if (reason !== undefined) this.setBecause(step, reason.step)
    }
  }

  finish(intention: Intention): Plan {
    const joins = this.#usedJoins()
    const position = new Map(joins.map((join, index) => [join, this.#steps.length + index]))
    const number = (ref: Ref): number => (ref < 0 ? position.get(-1 - ref)! : ref)
    const numbered = <Kind extends Waits>(waiting: Kind) => ({
      ...waiting,
      needs: waiting.needs.map(number),
      follows: waiting.follows.map(number),
    })
    return {
      filo: 1,
      fleet: this.#topology.fleet.name,
      intention,
      services: Object.fromEntries(this.#services),
      steps: this.#steps.map((step, index) => {
        const because = this.#because[index]
        return { ...numbered(step), ...(because !== undefined && { because }) }
      }),
      joins: joins.map((join) => numbered(this.#joins[join]!)),
    }
  }

  /** The joins that a step waits for: some are made before it is known whether anyone will. */
  #usedJoins(): number[] {
    const used = new Uint8Array(this.#joins.length)
    const mark = ({ needs, follows }: Waits) => {
      for (const ref of [...needs, ...follows]) if (ref < 0) used[-1 - ref] = 1
    }
    this.#steps.forEach(mark)
    // A join refers only to those made before it.
    for (let join = this.#joins.length - 1; join >= 0; join -= 1) if (used[join]) mark(this.#joins[join]!)
    return [...used.keys()].filter((join) => used[join])
  }

  #add(step: Step): Ref {
    this.#steps.push(step)
    return this.#steps.length - 1
  }

  #place(instance: number): { service: string; host: string } {
    const { service, host } = this.#topology.instances[instance]!
    this.#note(service)
    return { service: service.name, host }
  }

  #note({ name, definition }: Instance['service']): void {
    if (this.#services.has(name)) return
    const { settleMs, startTimeoutMs, stopTimeoutMs } = definition
    this.#services.set(name, {
      definition: this.#digest(definition),
      settleMs,
      startTimeoutMs,
      stopTimeoutMs,
    })
  }

  #hook(at: HookPoint, instance: number, waits: Waits, around: Ref): Ref | undefined {
    const { service, host } = this.#topology.instances[instance]!
    const hook = service.hooks.find((each) => each.definition.at === at)
    if (hook === undefined) return undefined
    const reboot = at.endsWith('_start') ? this.rebootOf(hook.host ?? host) : undefined
    const needs = reboot === undefined ? waits.needs : [...waits.needs, reboot]
    return this.#add({
      kind: 'hook',
      at,
      of: host,
      definition: this.#digest(hook.definition),
      around,
      service: service.name,
      host: hook.host ?? host,
      ...once({ ...waits, needs }),
    })
  }
}

/** Each only once: an instance may be needed by its own name and through its stage. */
function once(waits: Waits): { needs: number[]; follows: number[] } {
  const needs = new Set(waits.needs)
  return { needs: [...needs], follows: [...new Set(waits.follows)].filter((ref) => !needs.has(ref)) }
}
