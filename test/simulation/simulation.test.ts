import { expect, test } from 'vitest'
import { mutants } from './mutants/all.ts'
import { catchMutant, inParallel, playMany, tell, workersByDefault } from './pool.ts'

// The real coordinator and real agents in a world where everything goes wrong at random; see docs/reliability.md.
// FILO_SEEDS=n plays as many as that. One seed, with its story: npm run simulate -- --seed n

const seeds = Number(process.env['FILO_SEEDS'] ?? 5000)
const mutantSeeds = Number(process.env['FILO_MUTANT_SEEDS'] ?? 5000)
/** These have not been seen to show yet; `npm run simulate -- --mutants` tries them too. */
const notSeenYet: ReadonlySet<string> = new Set([
  'a waiver opens the gates behind it before its own turn',
  'what is done opens the gates behind it although what it rests on has drifted',
  'an action begins while its host goes down',
  'a refusal of a new ledger is as good as a seal',
  'who has lost a host goes on with the others',
  'a second grant is as good as the first',
  'a host is given away while an action goes on',
  'beacons never age',
  'beacons are dated by the wall clock',
  'beacons do not age while the host is suspended',
  'what an agent finds in its socket after it stood still is as good as new',
  'a beacon is not looked at again when the start is recorded',
  'a host has booted that answers from the boot that was to end',
  'what was proven before a host booted by itself needs not be seen again',
  'whoever speaks is believed for any host',
  'a signature is not looked at',
  'who looks waits for what is being done',
  'what is unknown cannot be waived',
  'a session in which nothing moves goes on',
  'a step is sent as often as it takes',
  'a session measures by the wall clock',
  'a session measures by a clock that stands still while the machine is suspended',
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
  const tried = mutants.filter(({ name }) => !notSeenYet.has(name))
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
