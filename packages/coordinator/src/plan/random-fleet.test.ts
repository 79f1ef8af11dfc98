import { digest, type InstanceName } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Topology } from '../fleet/topology.ts'
import { instancesToObserve, planFor } from './plan-for.ts'
import { isHostStep, Plan, stepName, type Intention, type Step } from './plan.ts'
import {
  carryOut,
  everything,
  fileOf,
  intend,
  isServed,
  nameOf,
  namesOf,
  needsOf,
  planOf,
  situations,
  sketches,
  someRunning,
  topologyOf,
} from './random-fleet.ts'

// What must hold of every plan for every fleet, against the meaning of the fleet file and not against the planner:
// plans are carried out here in any order that their gates allow, and the fleet is watched while they are.

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
    { numRuns: 500 },
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
          .filter((name) => before.has(name))
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

test('a restart starts nothing again while a stop still waits for it to be stopped', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, only }) => {
      const observations = new Map(
        [...everything(topology)].map((name) => [name, { state: 'running' as const }]),
      )
      const intention = intend('restart', topology, picks, only)
      const plan = planOf(planFor(topology, intention, { digest, observations }))
      if (plan === undefined) return
      const before = reachableFrom(plan)
      const early = plan.steps.flatMap((step, index) => {
        if (step.kind !== 'start') return []
        const own = plan.steps.findIndex((each) => each.kind === 'stop' && nameOf(each) === nameOf(step))
        return plan.steps.flatMap((stop, at) =>
          stop.kind === 'stop' && before(at).has(own) && !before(index).has(at)
            ? [`${stepName(step)} before ${stepName(stop)}`]
            : [],
        )
      })
      expect(early).toEqual([])
    }),
  )
})

test('a reboot stops all that runs on its hosts, and ends with exactly that running which ran before', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, dice }) => {
      const running = someRunning(topology, dice)
      const intention = intend('reboot', topology, picks, false)
      const observations = new Map(
        instancesToObserve(topology, intention).map((name) => [
          name,
          { state: running.has(name) ? ('running' as const) : ('stopped' as const) },
        ]),
      )
      const plan = planOf(planFor(topology, intention, { digest, observations }))
      if (plan === undefined) return
      expect(
        plan.steps
          .filter(isHostStep)
          .map(({ host }) => host)
          .toSorted(),
      ).toEqual(intention.selection.toSorted())
      const before = new Set(running)
      const { faults, held } = carryOut(plan, running, dice, (step, name, now) =>
        step.kind === 'start' && !isServed(topology, name, now) ? [`${name} starts without its needs`] : [],
      )
      expect(faults).toEqual([])
      if (held.length > 0) return
      expect([...running].toSorted()).toEqual([...before].toSorted())
    }),
    { numRuns: 300 },
  )
})

test('a host is rebooted after the start of what its services need on other hosts, unless that waits for the host', () => {
  fc.assert(
    fc.property(sketches, fc.array(fc.nat(40), { maxLength: 3 }), (services, picks) => {
      const single = services.map((service) => ({ ...service, on: service.on.slice(0, 1) }))
      const topology = topologyOf(fileOf(single, false))
      const observations = new Map(
        [...everything(topology)].map((name) => [name, { state: 'running' as const }]),
      )
      const plan = planOf(
        planFor(topology, intend('reboot', topology, picks, false), { digest, observations }),
      )!
      const before = reachableFrom(plan)
      for (const [index, step] of plan.steps.entries()) {
        if (step.kind !== 'reboot') continue
        const resident = namesOf(plan, 'start').filter((name) => name.endsWith(`@${step.host}`))
        const needed = new Set(resident.flatMap((name) => needsOf(topology, name).flatMap(({ of }) => of)))
        const starts = plan.steps.flatMap((one, at) =>
          one.kind === 'start' && one.host !== step.host && needed.has(nameOf(one)) ? at : [],
        )
        const overtaken = starts.filter(
          (start) => !before(index).has(start) && !isKnotted(topology, step.host, nameOf(plan.steps[start]!)),
        )
        expect(overtaken.map((start) => stepName(plan.steps[start]!))).toEqual([])
      }
    }),
    { numRuns: 300 },
  )
})

/** The steps that a step waits for, directly or through others. */
function reachableFrom(plan: Plan): (step: number) => ReadonlySet<number> {
  const nodes = [...plan.steps, ...plan.joins]
  return (step) => {
    const seen = new Set([step])
    for (const node of seen)
      for (const next of [...nodes[node]!.needs, ...nodes[node]!.follows]) seen.add(next)
    seen.delete(step)
    return seen
  }
}

/** Whether what runs on the host of `name` stands on the host, as well as the other way round. */
function isKnotted(topology: Topology, host: string, name: InstanceName): boolean {
  const seen = new Set<string>([name])
  for (const each of seen) {
    const [service, place] = each.split('@') as [string, string]
    if (service !== '') {
      for (const { of } of needsOf(topology, each as InstanceName)) for (const one of of) seen.add(one)
      const { needs, hooks } = topology.fleet.services.get(service)!
      for (const need of needs)
        for (const on of topology.fleet.services.get(need.service)!.hosts) seen.add(`${need.service}@${on}`)
      for (const hook of hooks) if (hook.host !== undefined) seen.add(`@${hook.host}`)
      seen.add(`@${place}`)
    } else for (const one of topology.instances) if (one.host === place) seen.add(one.name)
  }
  return seen.has(`@${host}`)
}

test('a halt stops all that runs on its hosts and all that needs it, before anything goes down', () => {
  fc.assert(
    fc.property(situations, ({ topology, picks, dice }) => {
      const intention = intend('halt', topology, picks, false)
      const plan = planOf(planFor(topology, intention, { digest }))!
      const running = everything(topology)
      expect(carryOut(plan, running, dice, faultsOfStep(topology, plan))).toEqual({ faults: [], held: [] })
      expect([...running].filter((name) => intention.selection.includes(name.split('@')[1]!))).toEqual([])
      expect(namesOf(plan, 'start')).toEqual([])
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
        const proven = alone.steps.filter((step) => step.kind === 'prove' && step.goal === goal).map(nameOf)
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
      fc.constantFrom(
        'start' as const,
        'stop' as const,
        'restart' as const,
        'reboot' as const,
        'halt' as const,
      ),
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
  const name = (step: number) => nameOf(plan.steps[step]!)
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
