import { expect, test } from 'vitest'
import { FleetText } from './fleet-text.ts'
import { formatProblem } from './problem.ts'

function read(text: string) {
  const source = new FleetText(text, 'f')
  return { source, value: source.value, problems: source.problems().map(formatProblem) }
}

test.each([
  ['# nothing\n', null],
  ['a:\n', { a: null }],
  [
    'a: [1, 0x10, 1.5, true, null, ~, yes, 1_000, 2026-11-28]',
    { a: [1, 16, 1.5, true, null, null, 'yes', '1_000', '2026-11-28'] },
  ],
  [`a: ["1", 'true', !!str 12]`, { a: ['1', 'true', '12'] }],
  ['a: |\n  two\n  lines\nb: >\n  one\n  line\n', { a: 'two\nlines\n', b: 'one line\n' }],
  ['a: !!map { b: !!seq [!!int 7] }', { a: { b: [7] } }],
  ['a: &x [1]\nb: *x\n', { a: [1], b: [1] }],
  ['&k a: 1\n*k : 2\n? b\n', { a: 1, b: null }],
  ['1.10: x\n? \n: y\n', { '1.10': 'x', '': 'y' }],
])('%j is read as YAML 1.2 says', (text, value) => {
  expect(JSON.parse(JSON.stringify(read(text).value))).toEqual(value)
})

test.each([
  ['a: !!int x', ['f:1:4: "x" is no !!int']],
  ['a: !thing x', ['f:1:4: unknown tag !thing']],
  ['a: !thing {}\nb: !!map []', ['f:1:4: unknown tag !thing', 'f:2:4: unknown tag !!map']],
  ['? [a, b]\n: c', ['f:1:3: a key has to be a name']],
  ['!!int 5: c\n!!int 5: d', ['f:2:7: duplicate key "5"; it is first given in line 1']],
  ['a: 1\n&k a: 2\n', ['f:2:4: duplicate key "a"; it is first given in line 1']],
  ['a: 1\n*k : 2\n', ['f:2:1: there is no anchor &k before this alias']],
  ['? \n: 1\n? \n: 2\n', ['f:4:3: duplicate key ""; it is first given in line 2']],
  ['? \n? \n', ['f:3:1: duplicate key ""; it is first given in line 3']],
  ['a: 1\n---\n', ['f:2:1: not valid YAML: a fleet file is one document; remove the second']],
  ['a: 1\n...\nb: 1\n', ['f:3:1: not valid YAML: a fleet file is one document; remove the second']],
])('%j has its faults where they are', (text, problems) => {
  expect(read(text).problems).toEqual(problems)
})

test('a fault is told where its value begins, with the quotes or the sign that begin it', () => {
  const { source } = read(`a: "x"\nb: |\n  y\nc: >\n  z\nd: *e\nf:\n  - &e {}\n  -\n`)
  const places = ['a', 'b', 'c', 'd', 'f'].map((key) => source.place([key], 'value'))
  expect(places).toEqual(['f:1:4', 'f:2:4', 'f:4:4', 'f:6:4', 'f:8:3'])
  // An item that is not written stands where its list does, and what is not there at all where its owner does.
  expect(source.place(['f', 1], 'value')).toBe('f:8:3')
  expect(source.place(['f', 0, 'missing'], 'value')).toBe('f:8:8')
  expect(source.place(['d'], 'key')).toBe('f:6:1')
})
