import { expect, test } from 'vitest'
import { playOut } from './support/chaos/play.ts'
import { tempDir } from './support/temp-dir.ts'

// The real executor and real agents on a clock, a network and services that are none, and everything goes wrong at
// random. FILO_SEED=n repeats one play; FILO_SEEDS=n plays as many as that.

const given = process.env['FILO_SEED']
const count = Number(process.env['FILO_SEEDS'] ?? 300)
const first = 1
const perTest = 50

const batches =
  given === undefined
    ? Array.from({ length: Math.ceil(count / perTest) }, (_, at) => first + at * perTest)
    : [Number(given)]

test.each(batches)(
  'whatever goes wrong, order holds and every run comes to a true end (seeds from %d)',
  async (seed) => {
    using dir = tempDir()
    const last = given === undefined ? Math.min(seed + perTest, first + count) : seed + 1
    for (let one = seed; one < last; one += 1) {
      const { faults, story } = await playOut(one, dir.path)
      expect(faults, `FILO_SEED=${one}\n${story.join('\n')}`).toEqual([])
    }
  },
)
