import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

// docs/security.md names a test for whatever it says stops an attacker. It is held to that.

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/security.md'), 'utf8')
const rows = rowsBelow('Threat model')

test('every attacker has something that stops them, with its test, and what remains', () => {
  expect(rows.length).toBeGreaterThanOrEqual(9)
  for (const cells of rows) {
    expect(cells).toHaveLength(4)
    expect(cells.every((cell) => cell.trim() !== '')).toBe(true)
    expect(testsIn(cells[2]!)).not.toEqual([])
  }
})

test('every test that is named has that title in that file', () => {
  const missing = rows
    .flatMap(([, , stops]) => testsIn(stops!))
    .filter(({ file, title }) => !isTitle(file, title))
  expect(missing).toEqual([])
})

test('every package that an agent loads is listed, and why', () => {
  const loaded = ['agent', 'protocol'].flatMap((name) => {
    const file = readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')
    const { dependencies } = JSON.parse(file) as { dependencies: Record<string, string> }
    return Object.keys(dependencies).filter((one) => !one.startsWith('@filo/'))
  })
  const listed = rowsBelow('What an agent is made of').map(([name]) => name!.trim().replaceAll('`', ''))
  expect(listed.toSorted()).toEqual([...new Set(loaded)].toSorted())
})

test('what is built of an agent holds as many packages as are counted', async () => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['packages/agent/src/main.ts'],
    outdir: 'nowhere',
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
  })
  const bundled = new Set(
    Object.keys(metafile.inputs).flatMap(
      (path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
    ),
  )
  const direct = rowsBelow('What an agent is made of').length
  expect(page).toContain(
    `An agent loads ${direct} packages of others, and these need ${bundled.size - direct} more: ${bundled.size} are in what`,
  )
})

interface Named {
  readonly file: string
  readonly title: string
}

/** The rows of the table of a section, by their cells. */
function rowsBelow(title: string): string[][] {
  return page
    .split(`\n## ${title}\n`)[1]!
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) => line.split('|').slice(1, -1))
}

function testsIn(cell: string): Named[] {
  return cell.split('<br>').map((one) => {
    const [, file = '', title = ''] = /`([^`]+(?:\.test|\/testing-\w+)\.ts)`: `?(.+?)`? *$/.exec(one) ?? []
    return { file, title }
  })
}

function isTitle(file: string, title: string): boolean {
  const path = join(root, file)
  if (title === '' || !existsSync(path)) return false
  const source = readFileSync(path, 'utf8')
  return ["'", '"', '`'].some((quote) => {
    const at = source.indexOf(`${quote}${title}${quote}`)
    // The first argument of a call: test('…', test.each(…)('….
    return at > 0 && source.slice(0, at).trimEnd().endsWith('(')
  })
}
