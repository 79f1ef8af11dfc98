import type { InstanceName } from '@filo/protocol'
import { listing } from '../fleet/listing.ts'
import { select, selectHosts, type Selected } from '../fleet/selection.ts'
import type { Topology } from '../fleet/topology.ts'
import { Draft, type Digest, type Laid } from './draft.ts'
import { Halting } from './halting.ts'
import { ownMachine } from './own-machine.ts'
import { layStarts } from './lay-starts.ts'
import { layStops } from './lay-stops.ts'
import type { Intention, Plan } from './plan.ts'
import { RunningProofs } from './proofs.ts'
import { layRestart, type States } from './restart.ts'
import { includes, selected, startScope, stopScope, type Scope } from './scope.ts'
import { turnsOf } from './turns.ts'

// P1. A plan is a pure function of fleet, intention and, for a restart, observations.
// P3. `--only` leaves out what a selection drags along, and proves it instead. It proves all of it, not only what
//     is next to the selection: something further off may be live although what is between is not, and still hold
//     what it was handed through it; and two selected instances with an unselected one between them keep their order.

export interface PlanContext {
  readonly digest: Digest
  /** For a restart: what each of `instancesToObserve` is doing. One that is left out has not answered. */
  readonly observations?: States
}

export type Planned =
  | { readonly kind: 'plan'; readonly plan: Plan }
  /** The selection matches nothing that the verb applies to: exit 4. */
  | { readonly kind: 'nothing'; readonly reason: string }
  /** The selection cannot be read: exit 64. */
  | { readonly kind: 'malformed'; readonly reason: string }
  /** There is a plan, but carrying it out would do harm: exit 65. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }

/** The steps that carry out an intention. The same input gives the same plan, to the byte. */
export function planFor(topology: Topology, intention: Intention, context: PlanContext): Planned {
  const chosen = choose(topology, intention)
  if (chosen.kind !== 'selected') return chosen
  const draft = new Draft(topology, context.digest)
  if (intention.verb === 'start') {
    layStart(draft, topology, startScope(topology, chosen.instances), intention)
    return { kind: 'plan', plan: draft.finish(intention) }
  }
  const { named, hosts } = chosen
  const scope = stopScope(topology, chosen.instances, named)
  const stopping = stoppedBy(topology, scope, intention)
  if (stopping.size === 0 && hosts.size === 0) {
    return { kind: 'nothing', reason: allKept(topology, chosen.instances) }
  }
  const reasons = [...ownHosts(topology, intention, hosts), ...sawnBranches(topology, stopping, hosts)]
  if (reasons.length > 0) return { kind: 'refused', reasons }
  if (intention.verb === 'restart' || intention.verb === 'reboot') {
    const states = context.observations ?? new Map()
    reasons.push(...layRestart(draft, topology, { scope, named, stopping, states, hosts }))
  } else {
    const stops = layStop(draft, topology, scope, named, stopping)
    const halting = new Halting(draft, topology, stops)
    for (const host of hosts) halting.lay('halt', host, [])
  }
  if (reasons.length > 0) return { kind: 'refused', reasons }
  return { kind: 'plan', plan: draft.finish(intention) }
}

/** The instances whose state decides what a restart or reboot does: those that it would stop. */
export function instancesToObserve(topology: Topology, intention: Intention): InstanceName[] {
  if (intention.verb !== 'restart' && intention.verb !== 'reboot') return []
  const chosen = choose(topology, intention)
  if (chosen.kind !== 'selected') return []
  const scope = stopScope(topology, chosen.instances, chosen.named)
  return [...stoppedBy(topology, scope, intention)].map((instance) => topology.instances[instance]!.name)
}

type Chosen =
  | (Extract<Selected, { kind: 'selected' }> & {
      /** Those that are rebooted or halted. */
      readonly hosts: ReadonlySet<string>
    })
  | Exclude<Selected, { kind: 'selected' }>

function choose(topology: Topology, { verb, selection, labels }: Intention): Chosen {
  if (verb !== 'reboot' && verb !== 'halt') {
    const found = select(topology, selection, labels)
    return found.kind === 'selected' ? { ...found, hosts: new Set() } : found
  }
  const found = selectHosts(topology, selection, labels)
  if (found.kind !== 'selected') return found
  // A host that goes down takes with it what is kept, too.
  return { ...found, named: new Set(found.instances) }
}

function stoppedBy(topology: Topology, scope: Scope, intention: Intention): Set<number> {
  const stopped = [...topology.instances.keys()].filter((instance) =>
    intention.only ? scope.because[instance] === selected : includes(scope, instance),
  )
  return new Set(stopped)
}

function layStop(
  draft: Draft,
  topology: Topology,
  scope: Scope,
  named: ReadonlySet<number>,
  stopping: ReadonlySet<number>,
): Map<number, Laid> {
  const proofs = new RunningProofs(draft)
  const laid = layStops(draft, topology, { scope, named, stopping, before: undefined }, proofs)
  draft.setReasons(scope.because, laid)
  proofs.setReasons(laid)
  return laid
}

function layStart(draft: Draft, topology: Topology, scope: Scope, intention: Intention): void {
  const laid = layStarts(draft, topology, {
    turns: turnsOf(topology, new Set(), () => true),
    roles: (instance) => {
      if (!includes(scope, instance)) return 'none'
      return intention.only && scope.because[instance] !== selected ? 'prove' : 'start'
    },
    before: () => undefined,
    after: () => [],
    prove: (instance, needs) => draft.prove(instance, 'running', { needs, follows: [] }),
    reboot: () => {},
  })
  draft.setReasons(scope.because, laid)
}

/** With `broker: local` every host is the machine that carries the run out. */
function ownHosts({ fleet }: Topology, { verb }: Intention, hosts: ReadonlySet<string>): string[] {
  if (fleet.broker !== 'local') return []
  return [...hosts].map((host) => ownMachine(host, verb === 'reboot' ? 'reboot' : 'halt'))
}

/** DESIGN section 3: Filo does not saw off its own branch. */
function sawnBranches(
  topology: Topology,
  stopping: ReadonlySet<number>,
  hosts: ReadonlySet<string>,
): string[] {
  const local = topology.fleet.broker === 'local'
  return [...stopping].flatMap((instance) => {
    const { name, service, host } = topology.instances[instance]!
    const goesDown = hosts.has(host)
    const leaveOut = goesDown
      ? `Leave ${host} out`
      : 'Leave it out ("keep: true" in the fleet file does so whenever it is not named)'
    const byHand = goesDown
      ? `or take ${host} down by hand, after a stop with a fleet file there that says "broker: local"`
      : `or stop it on ${host} with a fleet file that says "broker: local"`
    const reasons: string[] = []
    if (service.carries.includes('broker') && !local) {
      reasons.push(
        `${name} carries the broker: stopping it would cut Filo off from every agent in the middle of the run. ` +
          `${leaveOut}, use another broker, ${byHand}`,
      )
    }
    if (service.carries.includes('store')) {
      reasons.push(
        `${name} carries the store: stopping it would take the record of the run from under it. ` +
          `${leaveOut}, or use another store`,
      )
    }
    return reasons
  })
}

function allKept(topology: Topology, instances: readonly number[]): string {
  const names = instances.map((instance) => topology.instances[instance]!.name)
  return `everything selected is kept (keep: true) and not named: ${listing(names)}; name what should stop`
}
