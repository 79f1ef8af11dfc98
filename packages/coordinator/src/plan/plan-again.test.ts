import { digest } from '@filo/protocol'
import { expect, test } from 'vitest'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import { changesSince } from './plan-again.ts'
import { planFor } from './plan-for.ts'
import type { Intention, Plan } from './plan.ts'

const services = {
  db: '{ hosts: d1, lsb: db }',
  app: '{ hosts: [a1, a2], lsb: app, needs: db }',
  web: '{ hosts: w1, lsb: web, needs: app }',
}

function fleet(changed: Partial<Record<string, string>> = {}): Topology {
  const all = Object.entries({ ...services, ...changed }).filter(([, text]) => text !== '')
  const text = `fleet: f\nbroker: local\nhosts: { d1: , a1: , a2: , w1: }\nservices:\n${all
    .map(([name, body]) => `  ${name}: ${body}\n`)
    .join('')}`
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

function planned(verb: Intention['verb'], states: Record<string, 'running' | 'stopped'> = {}): Plan {
  const intention = { verb, selection: [], labels: [], only: false }
  const observations = new Map(Object.entries(states).map(([name, state]) => [name, { state }]))
  const outcome = planFor(fleet(), intention, { digest, observations })
  if (outcome.kind !== 'plan') throw new Error(JSON.stringify(outcome))
  return outcome.plan
}

test.each(['start', 'stop'] as const)(
  'a %s would be planned the same where the fleet is the same',
  (verb) => {
    expect(changesSince(planned(verb), fleet(), digest)).toEqual([])
  },
)

test('a restart is planned again by what ran when it was planned', () => {
  const states = {
    'db@d1': 'running',
    'app@a1': 'running',
    'app@a2': 'stopped',
    'web@w1': 'stopped',
  } as const
  expect(changesSince(planned('restart', states), fleet(), digest)).toEqual([])
})

test('what has changed is told: definitions, steps, and what they wait for', () => {
  const plan = planned('stop')
  const now = (changed: Partial<Record<string, string>>) => changesSince(plan, fleet(changed), digest)
  expect(now({ db: '{ hosts: d1, lsb: db, stop_timeout: 17s }' })).toEqual(['defined otherwise: db'])
  const unneeded = 'waiting for other steps: stop app@a2, stop app@a1'
  expect(now({ web: '' })).toEqual(['no longer in it: stop web@w1', unneeded])
  expect(now({ cron: '{ hosts: d1, lsb: cron }' })).toEqual(['now in it: stop cron@d1'])
  expect(now({ web: '{ hosts: w1, lsb: web }' })).toEqual([unneeded])
  expect(now({ db: '{ hosts: d1, lsb: db, carries: store }' })[0]).toMatch(
    /^it would be refused: db@d1 carries/,
  )
  const kept = { db: '{ hosts: d1, lsb: db, keep: true }', app: '', web: '' }
  expect(now(kept)[0]).toMatch(/^there would be no plan: everything selected is kept/)
})

test('a hook that runs something else is a change', () => {
  const web = (program: string) =>
    `{ hosts: w1, lsb: web, needs: app, hooks: { before_stop: { run: [${program}] } } }`
  const intention = { verb: 'stop', selection: [], labels: [], only: false } as const
  const before = planFor(
    fleet({ web: web('/bin/drain') }),
    { ...intention, selection: [], labels: [] },
    { digest },
  )
  if (before.kind !== 'plan') throw new Error('no plan')
  expect(changesSince(before.plan, fleet({ web: web('/bin/drain') }), digest)).toEqual([])
  expect(changesSince(before.plan, fleet({ web: web('/bin/flush') }), digest)).toEqual([
    'defined otherwise: before_stop web@w1',
  ])
})
