import { expect, test } from 'vitest'
import { mutants } from './mutants/all.ts'
import { hunt, playMany, tell, workersByDefault } from './pool.ts'

// The real coordinator and real agents in a world where everything goes wrong at random; see docs/reliability.md.
// FILO_SEEDS=n plays as many as that. One seed, with its story: npm run simulate -- --seed n

const seeds = Number(process.env['FILO_SEEDS'] ?? 5000)
const mutantSeeds = Number(process.env['FILO_MUTANT_SEEDS'] ?? 5000)
/** Ten minutes each where nothing else runs: several times that beside the tests of all other tiers. */
const longMs = 60 * 60_000

test(
  'whatever goes wrong, no promise is broken and every run comes to a true end',
  { timeout: longMs },
  async () => {
    const { failures } = await playMany({ from: 1, seeds })
    expect(failures).toEqual([])
  },
)

test('a seed gives the same story again', { timeout: longMs }, async () => {
  for (const seed of [1, 64, 4711]) {
    const [once, again] = await Promise.all([tell(seed), tell(seed)])
    expect(once.story.length).toBeGreaterThan(10)
    expect(again.story).toEqual(once.story)
  }
})

test('guards that are taken out of the product are missed', { timeout: longMs }, async () => {
  const hunts = await hunt(mutants, { seeds: mutantSeeds, workers: workersByDefault })
  const lines = hunts.map(
    ({ mutant: { rule, name }, caught }) =>
      `${rule.padEnd(3)} ${String(caught?.seed ?? 'no').padStart(5)}  ${name}`,
  )
  console.log(`Seeds until a mutant is caught:\n${lines.join('\n')}`)
  expect(hunts.flatMap(({ mutant, caught }) => (caught === undefined ? [mutant.name] : []))).toEqual([])
  expect(hunts.flatMap(({ mutant, own }) => own.map(({ seed }) => [mutant.scheme, seed]))).toEqual([])
})
