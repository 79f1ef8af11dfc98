import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { load } from 'js-yaml'

// docs/seeds.md says where each sentence of the three documents is expressed and tested. It is held to that.

const root = join(import.meta.dirname, '..')

interface Row {
  readonly sentence: string
  readonly lines: readonly Reference[]
  readonly tests: readonly Reference[]
}

/** A file, and the line or the test title in it. */
interface Reference {
  readonly file: string
  readonly text: string
}

const rows = readFileSync(join(root, 'docs/seeds.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|') && !line.startsWith('|---') && !line.startsWith('| the document'))
  .map((line): Row => {
    const [sentence = '', lines = '', tests = ''] = line.split('|').slice(1, -1)
    return { sentence: sentence.trim(), lines: referencesIn(lines), tests: referencesIn(tests) }
  })

function referencesIn(cell: string): Reference[] {
  const all = cell.split('<br>').map((one) => /^ *`([^`]+)`: (.+?) *$/.exec(one))
  return all.flatMap((found) => (found === null ? [] : [{ file: found[1]!, text: found[2]! }]))
}

test('every sentence of the three documents has its line in a fleet file and its test', () => {
  expect(rows.length).toBeGreaterThan(80)
  const empty = rows.filter(
    ({ sentence, lines, tests }) => !sentence || lines.length === 0 || tests.length === 0,
  )
  expect(empty).toEqual([])
})

test('every line that is named stands in that fleet file', () => {
  const wrong = rows.flatMap(({ lines }) => lines).filter((line) => !isInFleetFile(line))
  expect(wrong).toEqual([])
})

test('every test that is named has that title in that file', () => {
  const wrong = rows.flatMap(({ tests }) => tests).filter((reference) => !isTitle(reference))
  expect(wrong).toEqual([])
})

/** `stages.0.database: database`: a path of keys and places from 0, and its value as YAML. */
function isInFleetFile({ file, text }: Reference): boolean {
  const path = join(root, 'examples', file)
  const [, keys, value] = /^`([^: ]+): (.+)`$/.exec(text) ?? []
  if (!existsSync(path) || keys === undefined || value === undefined) return false
  let found: unknown = load(readFileSync(path, 'utf8'))
  for (const key of keys.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return false
    found = (found as Readonly<Record<string, unknown>>)[key]
  }
  return JSON.stringify(found) === JSON.stringify(load(value))
}

function isTitle({ file, text }: Reference): boolean {
  const path = join(root, file)
  if (!existsSync(path)) return false
  const source = readFileSync(path, 'utf8')
  return ["'", '"', '`'].some((quote) => {
    const title = `${quote}${text}${quote}`
    const at = source.indexOf(title)
    // The first argument of a call: test('…', test.each(…)('….
    return at > 0 && source.slice(0, at).trimEnd().endsWith('(')
  })
}
