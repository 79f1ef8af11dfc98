import { expect, test } from 'vitest'
import { durationMs } from './duration.ts'

test.each([
  ['500ms', 500],
  ['90s', 90_000],
  ['3m', 180_000],
  ['2h', 7_200_000],
  ['0s', 0],
])('%s is %i ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms)
})
