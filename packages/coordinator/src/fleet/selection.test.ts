import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFleet } from './parse-fleet.ts'
import { select } from './selection.ts'
import { buildTopology } from './topology.ts'

const parsed = parseFleet(
  `
fleet: lists
broker: local
hosts:
  db1: { labels: { role: db, rack: "1" } }
  mail1: { labels: { role: mail, rack: "1" } }
  mail2: { labels: { role: mail, rack: "2" } }
services:
  database: { hosts: db1, lsb: db }
  sympa: { hosts: db1, lsb: sympa }
  sympa-soap: { hosts: mail1, lsb: soap }
  mta: { hosts: [mail1, mail2], lsb: mta }
stages: [{ backend: database }, { middle: [sympa, mta] }]
`,
  'filo.yaml',
)
if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
const topology = buildTopology(parsed.fleet)

function selected(selections: string[], labels: string[] = []): string {
  const chosen = select(topology, selections, labels)
  if (chosen.kind !== 'selected') return `${chosen.kind}: ${chosen.reason}`
  // A star marks what was named.
  return chosen.instances
    .map((number) => `${topology.instances[number]!.name}${chosen.named.has(number) ? '*' : ''}`)
    .toSorted()
    .join(' ')
}

const everything = 'database@db1 mta@mail1 mta@mail2 sympa-soap@mail1 sympa@db1'

test.each([
  [[], everything],
  [['*'], everything],
  [['mta'], 'mta@mail1* mta@mail2*'],
  [['mta@mail2'], 'mta@mail2*'],
  [['@mail1'], 'mta@mail1 sympa-soap@mail1'],
  [['@mail?'], 'mta@mail1 mta@mail2 sympa-soap@mail1'],
  [['sympa*'], 'sympa-soap@mail1 sympa@db1'],
  [['*@*l2'], 'mta@mail2'],
  [['mta@mail*'], 'mta@mail1 mta@mail2'],
  [['stage:middle'], 'mta@mail1 mta@mail2 sympa@db1'],
  [['stage:*'], 'database@db1 mta@mail1 mta@mail2 sympa@db1'],
  [['@mail1', 'mta@mail1'], 'mta@mail1* sympa-soap@mail1'],
])('%j selects %s', (selections, expected) => {
  expect(selected(selections)).toBe(expected)
})

test('labels narrow a selection to hosts that have all of them', () => {
  expect(selected([], ['role=mail'])).toBe('mta@mail1 mta@mail2 sympa-soap@mail1')
  expect(selected(['mta'], ['role=mail', 'rack=2'])).toBe('mta@mail2*')
})

test.each([
  [['sypma'], [], 'nothing: nothing matches "sypma"; did you mean "sympa"?'],
  [['mta@mial1'], [], 'nothing: nothing matches "mta@mial1"; did you mean "mta@mail1"?'],
  [['mta@db1'], [], 'nothing: nothing matches "mta@db1": "mta" runs on mail1, mail2'],
  [['mail1'], [], 'nothing: nothing matches "mail1"; for all on that host type "@mail1"'],
  [['mta', 'zzzzzz'], [], 'nothing: nothing matches "zzzzzz"'],
  [['stage:backnd'], [], 'nothing: nothing matches "stage:backnd"; did you mean "stage:backend"?'],
  [['stage:zzzzzz'], [], 'nothing: nothing matches "stage:zzzzzz"'],
  [['@mial1'], [], 'nothing: nothing matches "@mial1"; did you mean "@mail1"?'],
  [['@zzzzzz'], [], 'nothing: nothing matches "@zzzzzz"'],
  [['mta@zzzzzz'], [], 'nothing: nothing matches "mta@zzzzzz"'],
  [['x*'], [], 'nothing: nothing matches "x*"'],
  [['mta'], ['role=db'], 'nothing: nothing selected is on a host with role=db'],
  [['mta'], ['role'], 'malformed: "role" is no label; expected key=value, such as role=db'],
  [
    ['a@b@c'],
    [],
    'malformed: "a@b@c" is no selection; expected a service, service@host, @host or stage:name, each with * and ? if you like',
  ],
])('%j with labels %j selects nothing, and says why', (selections, labels, expected) => {
  expect(selected(selections, labels)).toBe(expected)
})

test('a stage of a fleet without stages is answered with that', () => {
  const plain = parseFleet(
    'fleet: a\nbroker: local\nhosts: { h: }\nservices: { s: { hosts: h, lsb: s } }',
    'f',
  )
  if (plain.kind === 'refused') throw new Error(JSON.stringify(plain.problems))
  expect(select(buildTopology(plain.fleet), ['stage:backend'], [])).toEqual({
    kind: 'nothing',
    reason: 'nothing matches "stage:backend"; the fleet file declares no stages',
  })
})

const parts = fc.constantFrom('mta', 'sympa', 'database', '*', 's*', '?ta', '*a*', 'sympa-s?ap', 'x')
const places = fc.constantFrom('mail1', 'mail2', 'db1', '*', 'mail?', '*1', 'x')
const selections = fc.oneof(
  parts,
  places.map((host) => `@${host}`),
  fc.tuple(parts, places).map(([service, host]) => `${service}@${host}`),
  fc.constantFrom('backend', 'middle', '*d*', 'x').map((stage) => `stage:${stage}`),
  fc.string({ maxLength: 6 }),
)

test('several selections select what each of them does, and nothing at all if one of them selects nothing', () => {
  fc.assert(
    fc.property(fc.array(selections, { minLength: 1, maxLength: 4 }), (texts) => {
      const each = texts.map((text) => select(topology, [text], []))
      const together = select(topology, texts, [])
      const failed = each.find(({ kind }) => kind !== 'selected')
      if (failed !== undefined) {
        expect(together).toEqual(failed)
        return
      }
      const union = each.flatMap((one) => (one.kind === 'selected' ? one.instances : []))
      const named = each.flatMap((one) => (one.kind === 'selected' ? [...one.named] : []))
      expect(together).toEqual({
        kind: 'selected',
        instances: [...new Set(union)].toSorted((a, b) => a - b),
        named: new Set(named),
      })
    }),
  )
})

test('a glob selects the names that the same regular expression matches', () => {
  const globs = fc.string({ unit: fc.constantFrom('*', '?', 'a', 's', 't', 'm', 'y', 'p'), minLength: 1 })
  fc.assert(
    fc.property(globs, (glob) => {
      const expression = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      const expected = topology.instances.filter(({ service }) => expression.test(service.name))
      const chosen = select(topology, [glob], [])
      const names = chosen.kind === 'selected' ? chosen.instances.map((at) => topology.instances[at]) : []
      expect(names).toEqual(expected)
    }),
    { numRuns: 1_000 },
  )
})

test('a glob of many stars takes no exponential time', () => {
  expect(selected([`${'*a'.repeat(200)}*`])).toMatch(/^nothing/)
})
