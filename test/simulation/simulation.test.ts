import { expect, test } from 'vitest'
import { mutants } from './mutants/all.ts'
import { catchMutant, inParallel, playMany, tell, workersByDefault } from './pool.ts'

// The real coordinator and real agents in a world where everything goes wrong at random; see docs/reliability.md.
// FILO_SEEDS=n plays as many as that. One seed, with its story: npm run simulate -- --seed n

const seeds = Number(process.env['FILO_SEEDS'] ?? 5000)
const mutantSeeds = Number(process.env['FILO_MUTANT_SEEDS'] ?? 300)
/** These have been seen to show within so many seeds. All of them, for longer: npm run simulate -- --mutants */
const alwaysShown: ReadonlySet<string> = new Set([
  'a command is sent before the journal is durable',
  'silence changes the state and not the journal',
  'proofs never age',
  'what is told from memory opens gates',
  'a contradiction is no drift',
  'what failed is proven all the same',
  'what is unknown has ended',
  'a state need not settle',
  'what runs is ready',
  'what is stopping has stopped',
  'a failure holds nothing',
  'a host that has not answered holds nothing',
  'who was told to stop goes on',
  'what is in flight is not awaited',
])
const longMs = 20 * 60_000

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
  const tried = mutants.filter(({ name }) => alwaysShown.has(name))
  expect(tried).toHaveLength(alwaysShown.size)
  const caught = new Map<string, number | undefined>()
  await inParallel(tried, workersByDefault, async ({ name }) => {
    caught.set(name, (await catchMutant(name, mutantSeeds))?.seed)
  })
  const lines = tried.map(
    ({ rule, name }) => `${rule.padEnd(3)} ${String(caught.get(name)).padStart(5)}  ${name}`,
  )
  console.log(`Seeds until a mutant is caught:\n${lines.join('\n')}`)
  expect([...caught].filter(([, seed]) => seed === undefined)).toEqual([])
})
