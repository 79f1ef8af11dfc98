import { parseArgs } from 'node:util'
import { faults } from './faults/repertoire.ts'
import { mutants } from './mutants/all.ts'
import { catchMutant, inParallel, playMany, tell, workersByDefault } from './pool.ts'
import { tableOf } from './tally.ts'

// npm run simulate -- --seeds 20000 --from 1     plays that many, and prints the table of faults and phases
// npm run simulate -- --seed 4711                plays one, and tells its story
// npm run simulate -- --mutants                  takes the guards out of the product, one at a time
// npm run simulate -- --mutant NAME --seed 17    tells the story of a mutant that was caught

const help = `npm run simulate -- [--seeds 1000] [--from 1] [--workers ${workersByDefault}]
                    --seed SEED [--mutant NAME]     plays one, and tells its story
                    --mutants [NAME]                how many seeds each mutant takes (5000 at most)`
const progressEveryMs = 10_000
const failuresTold = 20

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(workersByDefault) },
    seed: { type: 'string' },
    mutant: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const workers = Number(values.workers)

if (values.help) console.log(help)
else if (values.seed !== undefined) process.exitCode = await repeat(Number(values.seed), values.mutant)
else if (values.mutants) process.exitCode = await tryMutants(Number(values.seeds ?? 5000), positionals[0])
else process.exitCode = await marathon(Number(values.seeds ?? 1000), Number(values.from))

async function repeat(seed: number, mutant: string | undefined): Promise<number> {
  const { story, failures } = await tell(seed, mutant)
  for (const line of story) console.log(line)
  for (const { violations } of failures) for (const violation of violations) console.log(`\n${violation}`)
  return failures.length > 0 ? 1 : 0
}

async function tryMutants(seeds: number, name = ''): Promise<number> {
  const chosen = mutants.filter((mutant) => mutant.name.includes(name))
  let missed = 0
  await inParallel(chosen, workers, async (mutant) => {
    const failure = await catchMutant(mutant.name, seeds)
    if (failure === undefined) missed += 1
    const found =
      failure === undefined ? `not within ${seeds}` : `seed ${failure.seed}: ${failure.violations[0]}`
    console.log(`${mutant.rule.padEnd(3)} ${mutant.name}\n      ${found}`)
  })
  console.log(`${chosen.length - missed} of ${chosen.length} mutants are caught`)
  return missed > 0 ? 1 : 0
}

async function marathon(seeds: number, from: number): Promise<number> {
  const beganMs = performance.now()
  let toldMs = beganMs
  const { played, failures, tally } = await playMany({ from, seeds, workers }, (outcome) => {
    if (performance.now() - toldMs < progressEveryMs) return
    toldMs = performance.now()
    console.error(`${outcome.played} of ${seeds} played, ${outcome.failures.length} failed`)
  })
  const seconds = Math.round((performance.now() - beganMs) / 1000)
  console.log(tableOf(tally, faults))
  console.log(
    `\nHow runs ended: ${[...tally.row('plays')].map(([end, count]) => `${end} ${count}`).join(', ')}`,
  )
  for (const { seed, violations } of failures.slice(0, failuresTold))
    console.log(`\nseed ${seed}: ${violations[0]}`)
  const [first] = failures
  if (first !== undefined) {
    const { story } = await tell(first.seed)
    console.log(
      `\n${story.join('\n')}\n\nSeed ${first.seed} fails. Again: npm run simulate -- --seed ${first.seed}`,
    )
  }
  console.log(`\nSeeds ${from} to ${from + played - 1} in ${seconds} s: ${failures.length} failed.`)
  return failures.length > 0 ? 1 : 0
}
