import { digest, type InstanceName } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Service } from '../fleet/fleet.ts'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import { instancesToObserve, planFor, type Planned } from './plan-for.ts'
import { Plan, stepName, type Intention, type Step } from './plan.ts'

// What must hold of every plan for every fleet, against the meaning of the fleet file and not against the planner:
// plans are carried out here in any order that their gates allow, and the fleet is watched while they are.

const hosts = ['h0', 'h1', 'h2', 'h3']

interface Sketch {
  readonly on: readonly string[]
  readonly needs: readonly { readonly to: number; readonly sameHost: boolean; readonly order: boolean }[]
  readonly enough: number
  readonly keep: boolean
  readonly hooks: readonly string[]
}

const sketches: fc.Arbitrary<readonly Sketch[]> = fc.array(
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
function fileOf(services: readonly Sketch[], stages: boolean): string {
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
    broker: 'local',
    hosts: Object.fromEntries(hosts.map((host) => [host, null])),
    services: Object.fromEntries(entries.map((entry, index) => [names[index], entry])),
    ...(stages &&
      names.length > 1 && { stages: [{ low: names.slice(0, half) }, { high: names.slice(half) }] }),
  })
}

function topologyOf(text: string): Topology {
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind !== 'fleet') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

/** A fleet, what is selected of it (nothing is all), and dice for everything else that is left to chance. */
const situations = fc.record({
  topology: fc
    .tuple(sketches, fc.boolean())
    .map(([services, stages]) => topologyOf(fileOf(services, stages))),
  picks: fc.array(fc.nat(40), { maxLength: 3 }),
  only: fc.boolean(),
  dice: fc.infiniteStream(fc.nat(1_000_000)),
})

function intend(
  verb: Intention['verb'],
  topology: Topology,
  picks: readonly number[],
  only: boolean,
): Intention {
  const { instances } = topology
  return { verb, selection: picks.map((pick) => instances[pick % instances.length]!.name), labels: [], only }
}

function planOf(planned: Planned): Plan | undefined {
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
function needsOf(topology: Topology, name: InstanceName): Group[] {
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

function isServed(topology: Topology, name: InstanceName, running: ReadonlySet<InstanceName>): boolean {
  return needsOf(topology, name).every(
    ({ of, enough }) => of.filter((each) => running.has(each)).length >= enough,
  )
}

/**
 * Carries a plan out, one step at a time in an order of the dice's choosing, as far as its proofs let it. Gives what
 * is wrong on the way, and which proofs hold it up.
 */
function carryOut(
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
    const name: InstanceName = `${step.service}@${step.host}`
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

/** Starts without their needs, and what a stop would take from those who are live. */
function faultsOfStep(topology: Topology, plan: Plan) {
  const kept = (name: InstanceName) => topology.fleet.services.get(name.split('@')[0]!)!.keep
  const stopping = new Set(namesOf(plan, 'stop'))
  return (step: Step, name: InstanceName, running: ReadonlySet<InstanceName>): string[] => {
    if (step.kind === 'start')
      return isServed(topology, name, running) ? [] : [`${name} starts without its needs`]
    if (step.kind !== 'stop') return []
    const left = new Set([...running].filter((each) => each !== name))
    const deprived = [...left].filter(
      (other) => !kept(other) && isServed(topology, other, running) && !isServed(topology, other, left),
    )
    const overtaken = [...left].filter((other) => stopping.has(other) && standsOn(topology, other).has(name))
    return [
      ...deprived.map((other) => `${other} loses ${name}`),
      // A restart stops and starts; what has come back may well be live.
      ...(plan.intention.verb === 'stop' ? overtaken.map((other) => `${name} stops before ${other}`) : []),
    ]
  }
}

/** All that an instance needs, over however many others. */
function standsOn(topology: Topology, name: InstanceName): Set<InstanceName> {
  const found = new Set([name])
  for (const each of found)
    for (const { of } of needsOf(topology, each)) for (const needed of of) found.add(needed)
  return found
}

/** Instances of which some are down, and mostly with them what needs them. */
function someRunning(topology: Topology, dice: Iterator<number>): Set<InstanceName> {
  const running = new Set<InstanceName>()
  for (const { name } of topology.instances) {
    const roll = dice.next().value! % 12
    if (roll < 3 || (roll < 11 && !isServed(topology, name, running))) continue
    running.add(name)
  }
  return running
}

function namesOf(plan: Plan, kind: Step['kind']): string[] {
  return plan.steps.filter((step) => step.kind === kind).map((step) => `${step.service}@${step.host}`)
}

function everything(topology: Topology): Set<InstanceName> {
  return new Set(topology.instances.map((instance) => instance.name))
}

test('however a stop runs, nothing loses what it needs while it is live, except what is kept', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, dice }) => {
      const plan = planOf(planFor(topology, intend('stop', topology, picks, false), { digest }))
      if (plan === undefined) return
      const carried = carryOut(plan, everything(topology), dice, faultsOfStep(topology, plan))
      expect(carried).toEqual({ faults: [], held: [] })
    }),
  )
})

test('a stop of a fleet that is partly down takes nothing from what is live either, and rather holds', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, only, dice }) => {
      const plan = planOf(planFor(topology, intend('stop', topology, picks, only), { digest }))
      if (plan === undefined) return
      const { faults } = carryOut(plan, someRunning(topology, dice), dice, faultsOfStep(topology, plan))
      expect(faults).toEqual([])
    }),
    { numRuns: 1_000 },
  )
})

test('however a start runs, everything finds what it needs', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, dice }) => {
      const plan = planOf(planFor(topology, intend('start', topology, picks, false), { digest }))!
      expect(carryOut(plan, new Set(), dice, faultsOfStep(topology, plan))).toEqual({ faults: [], held: [] })
    }),
  )
})

test('a restart ends with exactly that running which ran before, or is refused, or held by a proof', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, only, dice }) => {
      const running = someRunning(topology, dice)
      const intention = intend('restart', topology, picks, only)
      const observations = new Map(
        instancesToObserve(topology, intention).map((name) => [
          name,
          { state: running.has(name) ? ('running' as const) : ('stopped' as const) },
        ]),
      )
      const plan = planOf(planFor(topology, intention, { digest, observations }))
      if (plan === undefined) return
      const before = new Set(running)
      const { held } = carryOut(plan, running, dice, () => [])
      if (held.length > 0) return
      expect([...running].toSorted()).toEqual([...before].toSorted())
      expect(namesOf(plan, 'start').toSorted()).toEqual(
        namesOf(plan, 'stop')
          .filter((name) => before.has(name as InstanceName))
          .toSorted(),
      )
    }),
  )
})

test('a restart of a healthy fleet takes nothing from what is live, and starts nothing without its needs', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, dice }) => {
      const running = everything(topology)
      const observations = new Map([...running].map((name) => [name, { state: 'running' as const }]))
      const intention = intend('restart', topology, picks, false)
      const planned = planFor(topology, intention, { digest, observations })
      if (planned.kind === 'nothing') return
      const plan = planOf(planned)!
      expect(carryOut(plan, running, dice, faultsOfStep(topology, plan))).toEqual({ faults: [], held: [] })
    }),
  )
})

test('--only acts on what is selected and on nothing else, and proves the same instances that it leaves out', () => {
  fc.assert(
    fc.property(
      situations,
      fc.constantFrom('start' as const, 'stop' as const),
      ({ topology, picks }, verb) => {
        const alone = planOf(planFor(topology, intend(verb, topology, picks, true), { digest }))
        const whole = planOf(planFor(topology, intend(verb, topology, picks, false), { digest }))
        expect(alone === undefined).toBe(whole === undefined)
        if (alone === undefined || whole === undefined) return
        const { selection } = intend(verb, topology, picks, true)
        const named = new Set<string>(selection.length > 0 ? selection : everything(topology))
        const acts = namesOf(alone, verb)
        expect(acts.filter((name) => !named.has(name))).toEqual([])
        const goal = verb === 'start' ? 'running' : 'stopped'
        const proven = alone.steps
          .filter((step) => step.kind === 'prove' && step.goal === goal)
          .map((step) => `${step.service}@${step.host}`)
        expect([...acts, ...proven].toSorted()).toEqual(namesOf(whole, verb).toSorted())
      },
    ),
  )
})

test('a selection is closed: selecting what a plan stops or starts selects the same again', () => {
  fc.assert(
    fc.property(
      situations,
      fc.constantFrom('start' as const, 'stop' as const),
      ({ topology, picks }, verb) => {
        const first = planOf(planFor(topology, intend(verb, topology, picks, false), { digest }))
        if (first === undefined) return
        const intention: Intention = { verb, selection: namesOf(first, verb), labels: [], only: false }
        const second = planOf(planFor(topology, intention, { digest }))!
        // A kept service that the first selection did not name may be named by the second, never the other way round.
        expect(namesOf(second, verb)).toEqual(namesOf(first, verb))
      },
    ),
  )
})

test('steps stand in an order in which they could be carried out, have names of their own, and fit the schema', () => {
  fc.assert(
    fc.property(
      situations,
      fc.constantFrom('start' as const, 'stop' as const, 'restart' as const),
      ({ topology, picks, only }, verb) => {
        const observations = new Map(
          [...everything(topology)].map((name) => [name, { state: 'running' as const }]),
        )
        const plan = planOf(planFor(topology, intend(verb, topology, picks, only), { digest, observations }))
        if (plan === undefined) return
        expect(Plan.parse(plan)).toEqual(plan)
        expect(new Set(plan.steps.map(stepName)).size).toBe(plan.steps.length)
        const last = new Map<number, number>()
        const latest = (refs: readonly number[]) => Math.max(-1, ...refs.map((ref) => last.get(ref) ?? ref))
        for (const [index, join] of plan.joins.entries()) {
          const inputs = [...join.needs, ...join.follows]
          // An input that is no earlier join has no entry yet, and counts by its own number: as later than all steps.
          last.set(plan.steps.length + index, latest(inputs))
        }
        const early = plan.steps.filter((step, index) => latest([...step.needs, ...step.follows]) >= index)
        expect(early.map(stepName)).toEqual([])
      },
    ),
  )
})

test('the same fleet and intention give the same plan to the byte', () => {
  fc.assert(
    fc.property(sketches, fc.boolean(), fc.array(fc.nat(40), { maxLength: 3 }), (services, stages, picks) => {
      const text = fileOf(services, stages)
      const plans = [topologyOf(text), topologyOf(text)].map((topology) =>
        JSON.stringify(planFor(topology, intend('stop', topology, picks, false), { digest })),
      )
      expect(plans[0]).toBe(plans[1])
    }),
  )
})

/** Who waits for whom, with joins taken apart. */
function pairsOf(plan: Plan): [string, string][] {
  const behind = (ref: number): number[] => {
    if (ref < plan.steps.length) return [ref]
    const { needs, follows } = plan.joins[ref - plan.steps.length]!
    return [...needs, ...follows].flatMap(behind)
  }
  const name = (step: number) => `${plan.steps[step]!.service}@${plan.steps[step]!.host}`
  const pairs = plan.steps.flatMap((step, index) =>
    [...new Set([...step.needs, ...step.follows].flatMap(behind))].map((other): [string, string] => [
      name(index),
      name(other),
    ]),
  )
  return [...new Map(pairs.map((pair) => [pair.join(' '), pair])).values()]
}

test('the order of a stop is the order of a start reversed', () => {
  fc.assert(
    fc.property(sketches, fc.boolean(), (services, stages) => {
      const plain = services.map((service) => ({ ...service, keep: false, enough: 0, hooks: [] }))
      const topology = topologyOf(fileOf(plain, stages))
      const start = planOf(planFor(topology, intend('start', topology, [], false), { digest }))!
      const stop = planOf(planFor(topology, intend('stop', topology, [], false), { digest }))!
      expect(namesOf(stop, 'stop')).toEqual(namesOf(start, 'start').toReversed())
      expect(
        pairsOf(stop)
          .map(([a, b]) => `${b} ${a}`)
          .toSorted(),
      ).toEqual(
        pairsOf(start)
          .map(([a, b]) => `${a} ${b}`)
          .toSorted(),
      )
    }),
  )
})
