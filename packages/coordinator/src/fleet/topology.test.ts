import { expect, test } from 'vitest'
import { parseFleet } from './parse-fleet.ts'
import { buildTopology, type Topology } from './topology.ts'

function topologyOf(entries: string): Topology {
  const parsed = parseFleet(`fleet: a\nbroker: local\nhosts: { h1: , h2: , h3: }\n${entries}`, 'filo.yaml')
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  return buildTopology(parsed.fleet)
}

test('instances are numbered so that each comes after all that it needs, and otherwise as in the file', () => {
  const { instances } = topologyOf(`
services:
  web: { hosts: h3, lsb: web, needs: app }
  cron: { hosts: h1, lsb: cron }
  app: { hosts: [h2, h1], lsb: app, needs: { service: db, strength: order } }
  db: { hosts: h1, lsb: db }
`)
  expect(instances.map((instance) => instance.name)).toEqual([
    'cron@h1',
    'db@h1',
    'app@h2',
    'app@h1',
    'web@h3',
  ])
})

test('everyone who needs all of a service shares one join, and who needs its only instance needs none', () => {
  const topology = topologyOf(`
services:
  db: { hosts: h1, lsb: db }
  app: { hosts: [h1, h2, h3], lsb: app, enough: 2, needs: db }
  web: { hosts: [h1, h2], lsb: web, needs: app }
  api: { hosts: [h1, h2], lsb: api, needs: { service: app, strength: order } }
`)
  expect(topology.joins).toEqual([{ of: { service: 'app' }, enough: 2, members: 3 }])
  // Three from app to db, three from the join to app, two from web to the join.
  expect(topology.needs.edges).toBe(8)
  expect(topology.follows.edges).toBe(2)
})

test('a need of the same host leads to that host alone', () => {
  const { numbers, needs } = topologyOf(`
services:
  app: { hosts: [h1, h2], lsb: app }
  web: { hosts: [h2], lsb: web, needs: { service: app, scope: same-host } }
`)
  expect([...needs.of(numbers.get('web@h2')!)]).toEqual([numbers.get('app@h2')])
})

test('a stage costs one edge for each of its services and for each that needs it', () => {
  const low = Array.from({ length: 50 }, (_, index) => `low${index}`)
  const high = low.map((name) => `high-${name}`)
  const entries = [...low, ...high].map((name) => `  ${name}: { hosts: h1, lsb: x }`)
  const { needs, joins } = topologyOf(
    `services:\n${entries.join('\n')}\nstages: [{ back: [${low.join(', ')}] }, { front: [${high.join(', ')}] }]\n`,
  )
  expect(needs.edges).toBe(100)
  expect(joins).toEqual([{ of: { stage: 'back' }, enough: 50, members: 50 }])
})

test('a fleet whose needs go round, which no file gives, is not put into an order', () => {
  const { fleet } = topologyOf('services: { a: { hosts: h1, lsb: a }, b: { hosts: h1, lsb: b, needs: a } }')
  const [a, b] = [...fleet.services.values()]
  const round = new Map([
    ['a', { ...a!, needs: [{ service: 'b', scope: 'all', strength: 'hard' } as const] }],
    ['b', b!],
  ])
  expect(() => buildTopology({ ...fleet, services: round })).toThrow(/cycle of needs/)
})
