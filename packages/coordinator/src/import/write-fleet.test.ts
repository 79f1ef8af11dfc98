import { namePattern } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { writeFleet, type ImportedFleet } from './write-fleet.ts'

test('a fleet is written as its author might have written it', () => {
  const fleet: ImportedFleet = {
    name: 'canopsis',
    heading: ['Read from hypcontrol.conf.', 'Look at it.'],
    hosts: ['db1', 'web1'],
    services: [
      {
        name: 'mongodb',
        hosts: ['db1'],
        keys: { canopsis: { name: 'mongodb', dir: '/d', socket: '/s' }, carries: 'broker' },
      },
      { name: 'webserver', hosts: ['db1', 'web1'], keys: { lsb: 'webserver' } },
      { name: 'collectd', hosts: ['web1'], keys: { lsb: 'collectd' } },
    ],
    stages: [
      { name: 'backend', services: ['mongodb'] },
      { name: 'frontend', services: ['webserver', 'collectd'] },
    ],
  }
  expect(writeFleet(fleet)).toMatchInlineSnapshot(`
    "# Read from hypcontrol.conf.
    # Look at it.

    fleet: canopsis
    # The RabbitMQ where agents and coordinator meet.
    broker: amqps://broker.example.net
    hosts:
      db1:
      web1:
    services:
      mongodb:
        hosts: db1
        canopsis: { name: mongodb, dir: /d, socket: /s }
        carries: broker
      webserver:
        hosts: [ db1, web1 ]
        lsb: webserver
      collectd:
        hosts: web1
        lsb: collectd
    stages:
      - backend: mongodb
      - frontend: [ webserver, collectd ]
    "
  `)
})

test('a fleet of one host speaks to itself, and one without stages has none', () => {
  const services = [{ name: 'a', hosts: ['h'], keys: { lsb: 'a' } }]
  expect(writeFleet({ name: 'small', heading: [], hosts: ['h'], services, stages: [] }))
    .toMatchInlineSnapshot(`
    "fleet: small
    # Every host is this machine. With an amqps:// URL here the hosts are real.
    broker: local
    hosts:
      h:
    services:
      a:
        hosts: h
        lsb: a
    "
  `)
})

const names = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,10}[A-Za-z0-9])?$/),
  // Words that mean something to YAML, to JavaScript, or to this file's own writer.
  fc.constantFrom(
    'null',
    'true',
    'no',
    '1',
    '0x1',
    '1e3',
    'constructor',
    'toString',
    'hosts',
    'services',
    'broker',
  ),
)
const fleets: fc.Arbitrary<ImportedFleet> = fc
  .record({
    name: names,
    heading: fc.array(fc.string({ maxLength: 20 }).map((line) => line.replaceAll(/[\r\n]/g, ' '))),
    hosts: fc.uniqueArray(names, { minLength: 1, maxLength: 3 }),
    services: fc.uniqueArray(names, { minLength: 1, maxLength: 5 }),
    stageNames: fc.uniqueArray(names, { maxLength: 5 }),
    dice: fc.infiniteStream(fc.nat(1_000)),
  })
  .map(({ name, heading, hosts, services, stageNames, dice }) => {
    const roll = (): number => dice.next().value!
    return {
      name,
      heading,
      hosts,
      services: services.map((service) => ({
        name: service,
        hosts: hosts.slice(0, 1 + (roll() % hosts.length)),
        keys: roll() % 2 === 0 ? { lsb: 'x' } : { supervisord: { program: 'x', socket: '/run/s.sock' } },
      })),
      stages: stageNames.flatMap((stage, at) => {
        const members = services.filter((_, index) => index % stageNames.length === at)
        return members.length === 0 ? [] : [{ name: stage, services: members }]
      }),
    }
  })

test('what is written is read as the same fleet', () => {
  fc.assert(
    fc.property(fleets, (fleet) => {
      fc.pre([fleet.name, ...fleet.hosts].every((name) => namePattern.test(name)))
      const parsed = parseFleet(writeFleet(fleet), 'filo.yaml')
      if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
      const read = parsed.fleet
      expect({
        name: read.name,
        hosts: [...read.hosts.keys()].toSorted(),
        services: [...read.services.values()]
          .map(({ name, hosts, definition }) => ({ name, hosts, manager: definition.manager.kind }))
          .toSorted(byName),
        stages: read.stages,
      }).toEqual({
        name: fleet.name,
        hosts: fleet.hosts.toSorted(),
        services: fleet.services
          .map(({ name, hosts, keys }) => ({ name, hosts, manager: Object.keys(keys)[0] }))
          .toSorted(byName),
        stages: fleet.stages,
      })
    }),
    { numRuns: 150 },
  )
})

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : 1
}
