import { digest, type InstanceName, type Observation } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology } from '../fleet/topology.ts'
import { forecast, type Sights } from './forecast.ts'
import { planFor } from './plan-for.ts'
import { stepName, type Intention, type Plan } from './plan.ts'
import { carryOut, intend, nameOf, planOf, situations, someRunning } from './random-fleet.ts'
import type { States } from './restart.ts'

const parsed = parseFleet(
  `
fleet: lists
broker: amqp://broker
hosts: { db1: , app1: , mail1: }
services:
  db: { hosts: db1, lsb: db }
  app: { hosts: app1, lsb: app, needs: db, hooks: { after_stop: { run: [/bin/true], host: mail1 } } }
`,
  'filo.yaml',
)
if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
const topology = buildTopology(parsed.fleet)

function planned(
  verb: Intention['verb'],
  selection: string[] = [],
  only = false,
  observations: States = new Map(),
): Plan {
  const result = planFor(topology, { verb, selection, labels: [], only }, { digest, observations })
  if (result.kind !== 'plan') throw new Error(JSON.stringify(result))
  return result.plan
}

type Seen = Partial<Observation> & Pick<Observation, 'state'>

type SeenInstances = [
  InstanceName,
  Sights['instances'] extends ReadonlyMap<string, infer One> ? One : never,
][]
type SeenHosts = [string, Sights['hosts'] extends ReadonlyMap<string, infer One> ? One : never][]

/** What was seen of db1 and app1; nobody asked mail1. */
function sights(seen: Record<InstanceName, Seen>, silent: readonly string[] = []): Sights {
  const silence = 'no agent listens'
  const instances = topology.instances.flatMap(({ name, service, host }): SeenInstances => {
    if (silent.includes(host)) return [[name, { silence }]]
    const { state, live = state === 'running' ? 'yes' : 'no', ...rest } = seen[name]!
    const observation: Observation = {
      state,
      live,
      detail: 'as the script says',
      manager: 'lsb',
      heldMs: 0,
      seenAt: '2026-11-20T03:00:00Z',
      ...rest,
    }
    return [[name, { observation, definition: digest(service.definition) }]]
  })
  const hosts = ['db1', 'app1'].flatMap((host): SeenHosts => [
    [host, silent.includes(host) ? { answered: false, silence } : { answered: true }],
  ])
  return { instances: new Map(instances), hosts: new Map(hosts) }
}

function foreseen(plan: Plan, seen: Sights): string[] {
  const { steps, problems } = forecast(plan, seen)
  return [
    ...steps.map(
      ({ kind, now }, index) => `${stepName(plan.steps[index]!)}: ${kind}, ${now ?? 'nobody says'}`,
    ),
    ...problems.map(({ kind, host, instance, text }) => `${kind} ${instance ?? host}: ${text}`),
  ]
}

test('a hook changes something exactly if its step does, and a host that nobody asked has no problem', () => {
  const seen = sights({ 'app@app1': { state: 'stopped' }, 'db@db1': { state: 'running' } })
  expect(foreseen(planned('stop'), seen)).toEqual([
    'stop app@app1: nothing, stopped',
    'after_stop app@app1 on mail1: nothing, nobody says',
    'stop db@db1: change, running',
  ])
})

test('a reboot changes its host, and what it does not start again may come up by itself', () => {
  const seen = sights({ 'app@app1': { state: 'stopped' }, 'db@db1': { state: 'running' } })
  const observations = new Map([['app@app1', { state: 'stopped' as const }]])
  expect(foreseen(planned('reboot', ['app1'], false, observations), seen)).toEqual([
    'stop app@app1: nothing, stopped',
    'after_stop app@app1 on mail1: nothing, nobody says',
    'reboot app1: change, nobody says',
    'warning app@app1: it is stopped, so the plan does not start it again; where it is enabled, it comes up with the boot all the same',
  ])
})

test('what is missing or cannot be told is unclear, a problem, and comes with its warnings', () => {
  const seen = sights({
    'app@app1': { state: 'missing', detail: 'no such script' },
    'db@db1': { state: 'unknown', live: 'unknown', warnings: ['a dummy'] },
  })
  expect(foreseen(planned('stop'), seen)).toEqual([
    'stop app@app1: unclear, missing',
    'after_stop app@app1 on mail1: unclear, nobody says',
    'stop db@db1: unclear, unknown',
    'missing app@app1: no such script',
    'unknown db@db1: as the script says',
    'warning db@db1: a dummy',
  ])
})

test('of a host that does not answer nothing is clear, and it is named once', () => {
  expect(foreseen(planned('stop'), sights({ 'db@db1': { state: 'running' } }, ['app1']))).toEqual([
    'stop app@app1: unclear, nobody says',
    'after_stop app@app1 on mail1: unclear, nobody says',
    'stop db@db1: change, running',
    'no-answer app1: no agent listens: what depends on it will be held. See: filo doctor',
  ])
})

test('what the plan leaves alone and is not as it must be will hold the run, and says where it should be', () => {
  const seen = sights({ 'app@app1': { state: 'running' }, 'db@db1': { state: 'running' } })
  expect(foreseen(planned('stop', ['db'], true), seen)).toEqual([
    'prove app@app1: hold, running',
    'stop db@db1: change, running',
    'hold app@app1: it is running, the plan needs it stopped and leaves it alone: the run would hold here',
  ])
})

test('a host that answers will reboot, and of one that does not nobody can say', () => {
  const observations = new Map([['app@app1', { state: 'running' as const }]])
  const plan = planned('reboot', ['app1'], false, observations)
  const db = { 'db@db1': { state: 'running' } } as const
  expect(foreseen(plan, sights({ ...db, 'app@app1': { state: 'running' } }))).toEqual([
    'prove db@db1: nothing, running',
    'stop app@app1: change, running',
    'after_stop app@app1 on mail1: change, nobody says',
    'reboot app1: change, nobody says',
    'start app@app1: change, running',
  ])
  expect(foreseen(plan, sights(db, ['app1']))).toContain('reboot app1: unclear, nobody says')
})

test('what is foreseen to change is what changes when the plan is carried out, unless it is foreseen to hold', () => {
  const verbs = fc.constantFrom('start' as const, 'stop' as const)
  fc.assert(
    fc.property(situations, verbs, ({ topology: random, picks, only, dice }, verb) => {
      const plan = planOf(planFor(random, intend(verb, random, picks, only), { digest }))
      if (plan === undefined) return
      const before = someRunning(random, dice)
      const instances = random.instances.map(({ name, service }): SeenInstances[number] => {
        const state = before.has(name) ? 'running' : 'stopped'
        const live = before.has(name) ? 'yes' : 'no'
        const seenAt = '2026-11-20T03:00:00Z'
        const observation: Observation = { state, live, detail: '', manager: 'lsb', heldMs: 0, seenAt }
        return [name, { observation, definition: digest(service.definition) }]
      })
      const hosts = [...random.fleet.hosts.keys()].map((host): SeenHosts[number] => [
        host,
        { answered: true },
      ])
      const { steps, problems } = forecast(plan, { instances: new Map(instances), hosts: new Map(hosts) })
      const foreseenAs = (kind: string): string[] =>
        plan.steps.filter((step, index) => step.kind !== 'hook' && steps[index]!.kind === kind).map(nameOf)
      const after = new Set(before)
      const { held } = carryOut(plan, after, dice, () => [])
      const changed = random.instances
        .map(({ name }) => name)
        .filter((name) => before.has(name) !== after.has(name))
      const holding = foreseenAs('hold')
      expect(foreseenAs('unclear')).toEqual([])
      expect(problems.map(({ kind, instance }) => [kind, instance])).toEqual(
        holding.map((name) => ['hold', name]),
      )
      if (holding.length === 0)
        expect([held, changed.toSorted()]).toEqual([[], foreseenAs('change').toSorted()])
      else expect(foreseenAs('change')).toEqual(expect.arrayContaining(changed))
    }),
    { numRuns: 300 },
  )
})
