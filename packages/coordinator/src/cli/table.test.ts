import { describe, expect, test } from 'vitest'
import { fit, formatTable } from './table.ts'

const red = (text: string) => `\u001B[31m${text}\u001B[39m`

describe('formatTable', () => {
  test('columns are as wide as their widest cell, and no line ends in blanks', () => {
    const lines = formatTable(
      ['instance', 'state', 'detail'],
      [
        ['mta@mail1', 'running', ''],
        ['database@db1', 'stopped', 'status 3'],
      ],
    )
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "instance      state    detail
      mta@mail1     running
      database@db1  stopped  status 3"
    `)
  })

  test('colours count for nothing in the alignment', () => {
    const [, painted] = formatTable(['state', 'since'], [[{ text: 'up', paint: red }, 'today']])
    expect(painted).toBe(`${red('up')}     today`)
  })

  test('only the last column is cut to the width of the terminal', () => {
    const lines = formatTable(
      ['instance', 'detail'],
      [['mta@mail1', 'a long story that does not fit at all']],
      30,
    )
    expect(lines[1]).toBe('mta@mail1  a long story that …')
  })

  test('a very narrow terminal wraps rather than hide the last column', () => {
    const [, line] = formatTable(['instance', 'detail'], [['mta@mail1', 'sixteen letters.']], 5)
    expect(line).toBe('mta@mail1  sixteen letters.')
  })
})

test('a text that fits stays as it is', () => {
  expect(fit('four', 4)).toBe('four')
  expect(fit('fives', 4)).toBe('fiv…')
})
