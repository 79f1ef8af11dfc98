import type { InstanceName } from '@filo/protocol'
import * as fc from 'fast-check'
import type { Service } from '../fleet/fleet.ts'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import type { Planned } from './plan-for.ts'
import { isHostStep, stepName, type Intention, type Plan, type Step } from './plan.ts'

// Random fleets, what they need by the meaning of their files and not by the planner, and plans that are carried out
// in any order that their gates allow: for tests that no fleet and no plan may break.

const hosts = ['h0', 'h1', 'h2', 'h3']

interface Sketch {
  readonly on: readonly string[]
  readonly needs: readonly { readonly to: number; readonly sameHost: boolean; readonly order: boolean }[]
  readonly enough: number
  readonly keep: boolean
  readonly hooks: readonly string[]
}

export const sketches: fc.Arbitrary<readonly Sketch[]> = fc.array(
  fc.record({
    on: fc.subarray(hosts, { minLength: 1 }),
    needs: fc.uniqueArray(
      fc.record({ to: fc.nat(20), sameHost: fc.boolean(), order: fc.nat(4).map((roll) => roll === 0) }),
      { selector: (need) => need.to, maxLength: 3 },
    ),
    enough: fc.nat(4),
    keep: fc.nat(5).map((roll) => roll === 0),
    hooks: fc.subarray(['before_stop', 'after_stop', 'before_start', 'after_start'], { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 8 },
)

/** The file of a sketch: services need only those before them, so there is no cycle. */
export function fileOf(services: readonly Sketch[], stages: boolean): string {
  const entries = services.map((service, index) => {
    const targets = index === 0 ? [] : service.needs.map((need) => ({ ...need, to: need.to % index }))
    const needs = [...new Map(targets.map((need) => [need.to, need])).values()].map((need) => {
      const near = need.sameHost && service.on.every((host) => services[need.to]!.on.includes(host))
      return {
        service: `s${need.to}`,
        scope: near ? 'same-host' : 'all',
        strength: need.order ? 'order' : 'hard',
      }
    })
    return {
      hosts: service.on,
      lsb: `s${index}`,
      needs,
      ...(service.enough > 0 && { enough: Math.min(service.enough, service.on.length) }),
      keep: service.keep,
      hooks: Object.fromEntries(service.hooks.map((at) => [at, { run: ['/bin/true'] }])),
    }
  })
  const names = services.map((_, index) => `s${index}`)
  const half = Math.ceil(names.length / 2)
  return JSON.stringify({
    fleet: 'random',
    broker: 'amqp://broker',
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: Object.fromEntries(entries.map((entry, index) => [names[index], entry])),
    ...(stages &&
      names.length > 1 && { stages: [{ low: names.slice(0, half) }, { high: names.slice(half) }] }),
  })
}

export function topologyOf(text: string): Topology {
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind !== 'fleet') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

/** A fleet, what is selected of it (nothing is all), and dice for everything else that is left to chance. */
export const situations = fc.record({
  topology: fc
    .tuple(sketches, fc.boolean())
    .map(([services, stages]) => topologyOf(fileOf(services, stages))),
  picks: fc.array(fc.nat(40), { maxLength: 3 }),
  only: fc.boolean(),
  dice: fc.infiniteStream(fc.nat(1_000_000)),
})

export function intend(
  verb: Intention['verb'],
  topology: Topology,
  picks: readonly number[],
  only: boolean,
): Intention {
  const { instances } = topology
  if (verb === 'reboot' || verb === 'halt') {
    const selection = [...new Set([0, ...picks].map((pick) => hosts[pick % hosts.length]!))]
    return { verb, selection, labels: [], only: false }
  }
  return { verb, selection: picks.map((pick) => instances[pick % instances.length]!.name), labels: [], only }
}

export function planOf(planned: Planned): Plan | undefined {
  return planned.kind === 'plan' ? planned.plan : undefined
}

function all(service: Service): Group {
  const of = service.hosts.map((host): InstanceName => `${service.name}@${host}`)
  return { of, enough: service.enough ?? of.length }
}

interface Group {
  readonly of: InstanceName[]
  readonly enough: number
}

/** What `instance` needs, by the fleet file: each group must have `enough` running. */
export function needsOf(topology: Topology, name: InstanceName): Group[] {
  const { fleet } = topology
  const [serviceName, host] = name.split('@') as [string, string]
  const service = fleet.services.get(serviceName)!
  const own = service.needs
    .filter((need) => need.strength === 'hard')
    .map((need): Group =>
      need.scope === 'same-host'
        ? { of: [`${need.service}@${host}`], enough: 1 }
        : all(fleet.services.get(need.service)!),
    )
  const stage = fleet.stages.findIndex((each) => each.services.includes(serviceName))
  const before = stage > 0 ? fleet.stages[stage - 1]!.services : []
  return [...own, ...before.map((each) => all(fleet.services.get(each)!))]
}

export function isServed(
  topology: Topology,
  name: InstanceName,
  running: ReadonlySet<InstanceName>,
): boolean {
  return needsOf(topology, name).every(
    ({ of, enough }) => of.filter((each) => running.has(each)).length >= enough,
  )
}

/**
 * Carries a plan out, one step at a time in an order of the dice's choosing, as far as its proofs let it. Gives what
 * is wrong on the way, and which proofs hold it up.
 */
export function carryOut(
  plan: Plan,
  running: Set<InstanceName>,
  dice: Iterator<number>,
  faultsOf: (step: Step, name: InstanceName, running: ReadonlySet<InstanceName>) => string[],
): { faults: string[]; held: string[] } {
  const faults: string[] = []
  const held = new Set<number>()
  const done = new Set<number>()
  const isMet = (node: number): boolean => {
    if (node < plan.steps.length) return done.has(node)
    const { needs, follows, enough } = plan.joins[node - plan.steps.length]!
    return needs.filter(isMet).length >= (enough ?? needs.length) && follows.every(isMet)
  }
  const isOpen = (step: number) => [...plan.steps[step]!.needs, ...plan.steps[step]!.follows].every(isMet)
  while (done.size + held.size < plan.steps.length) {
    const open = [...plan.steps.keys()].filter((step) => !done.has(step) && !held.has(step) && isOpen(step))
    if (open.length === 0) break
    const index = open[dice.next().value! % open.length]!
    const step = plan.steps[index]!
    const name: InstanceName = nameOf(step)
    if (isHostStep(step)) {
      const live = [...running].filter((each) => each.endsWith(`@${step.host}`))
      if (live.length > 0) faults.push(`${stepName(step)} while there run ${live.join(', ')}`)
      const left = plan.steps.filter(({ kind }, at) => kind === 'stop' && !done.has(at))
      if (left.length > 0) faults.push(`${stepName(step)} before ${left.map(stepName).join(', ')}`)
      // What is enabled comes up by itself.
      const resident = namesOf(plan, 'start').filter((each) => each.endsWith(`@${step.host}`))
      if (step.kind === 'reboot')
        for (const each of resident) if (dice.next().value! % 2 === 0) running.add(each)
      done.add(index)
      continue
    }
    if (step.kind === 'prove' && running.has(name) !== (step.goal === 'running')) {
      held.add(index)
      continue
    }
    faults.push(...faultsOf(step, name, running))
    if (step.kind === 'stop') running.delete(name)
    if (step.kind === 'start') running.add(name)
    done.add(index)
  }
  if (held.size === 0 && done.size < plan.steps.length) faults.push('the plan comes to no end')
  return { faults, held: [...held].map((index) => stepName(plan.steps[index]!)) }
}

/** Instances of which some are down, and mostly with them what needs them. */
export function someRunning(topology: Topology, dice: Iterator<number>): Set<InstanceName> {
  const running = new Set<InstanceName>()
  for (const { name } of topology.instances) {
    const roll = dice.next().value! % 12
    if (roll < 3 || (roll < 11 && !isServed(topology, name, running))) continue
    running.add(name)
  }
  return running
}

export function namesOf(plan: Plan, kind: Step['kind']): InstanceName[] {
  return plan.steps.filter((step) => step.kind === kind).map(nameOf)
}

export function nameOf(step: Step): InstanceName {
  return isHostStep(step) ? `@${step.host}` : `${step.service}@${step.host}`
}

export function everything(topology: Topology): Set<InstanceName> {
  return new Set(topology.instances.map((instance) => instance.name))
}
