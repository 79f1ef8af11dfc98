import { expect, test } from 'vitest'
import { mapBounded } from './bounded.ts'

test('results stand in the order of the items, and no more than the limit run at a time', async () => {
  let running = 0
  let most = 0
  const results = await mapBounded([5, 1, 4, 2, 3, 0], 2, async (item) => {
    running++
    most = Math.max(most, running)
    for (let turn = 0; turn < item; turn++) await Promise.resolve()
    running--
    return item * 10
  })
  expect(results).toEqual([50, 10, 40, 20, 30, 0])
  expect(most).toBe(2)
})

test('nothing is done for nothing', async () => {
  expect(await mapBounded([], 4, () => Promise.reject(new Error('asked')))).toEqual([])
})
