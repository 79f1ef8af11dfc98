import { expect, test } from 'vitest'
import { firstLine, printable } from './printable.ts'

test.each([
  ['plain\ttext\n', 'plain\ttext\n'],
  ['\u001B[1;31mred\u001B[0m', 'red'],
  ['\u001B]0;title\u0007text', 'text'],
  ['\u001B]8;;http://example.net\u001B\\link\u001B]8;;\u001B\\', 'link'],
  ['10 %\r20 %\r\ndone', '10 %\n20 %\ndone'],
  ['bell\u0007 back\b null\0 delete\u007F csi\u009B', 'bell back null delete csi'],
  ['\u202Eexe.txt\u202C', 'exe.txt'],
  ['äöü € 😀', 'äöü € 😀'],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text)).toBe(shown)
})

test('what is left after an escape sequence is taken out cannot form a new one', () => {
  expect(printable('\u001B\u001B[31m[2J')).not.toContain('\u001B')
})

test('the first line is the first that says something', () => {
  expect(firstLine('\n  \n  is running \nmore')).toBe('is running')
  expect(firstLine('\n')).toBe('')
})
