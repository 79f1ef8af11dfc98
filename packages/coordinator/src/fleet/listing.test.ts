import { expect, test } from 'vitest'
import { listing } from './listing.ts'

test('a sentence names a dozen, and says how many more there are', () => {
  const names = Array.from({ length: 14 }, (_, index) => `h${index}`)
  expect(listing(names.slice(0, 12))).toBe(names.slice(0, 12).join(', '))
  expect(listing(names)).toBe(`${names.slice(0, 12).join(', ')} and 2 more`)
})
