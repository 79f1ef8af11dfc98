import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mutants } from './all.ts'

const root = join(import.meta.dirname, '../../..')

test.each(mutants)(
  'the guard that "$name" takes away stands exactly once where it is looked for',
  ({ edits }) => {
    for (const { file, from } of edits) {
      expect(readFileSync(join(root, file), 'utf8').split(from), `${file}:\n${from}`).toHaveLength(2)
    }
  },
)

test('no two mutants are called the same', () => {
  const names = mutants.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
