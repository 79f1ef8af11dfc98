import { parseArgs } from 'node:util'
import { faults } from './faults/repertoire.ts'
import { schemeNames, type SchemeName } from './faults/schemes.ts'
import { mutants } from './mutants/all.ts'
import { hunt, playMany, tell, workersByDefault } from './pool.ts'
import { poorCells, tableOf } from './tally.ts'

// npm run simulate -- --seeds 20000 --from 1     plays that many, and prints the table of faults and phases
// npm run simulate -- --minutes 60 --from 1      plays as many as fit
// npm run simulate -- --seed 4711                plays one, and tells its story
// npm run simulate -- --mutants                  takes the guards out of the product, one at a time
// npm run simulate -- --mutant NAME --seed 17    tells the story of a mutant that was caught

const help = `npm run simulate -- [--seeds 1000 | --minutes 60] [--from 1] [--workers ${workersByDefault}]
                    --seed SEED [--mutant NAME]     plays one, and tells its story
                    --scheme NAME                   what goes wrong together in all of them
                    --mutants [NAME]                how many seeds each mutant takes (5000 at most), as a table`
const progressEveryMs = 10_000
const failuresTold = 20
/** How often each cell of the table is to be hit, and by how many plays that can be asked for. */
const leastHits = 20
const seedsForTable = 10_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    workers: { type: 'string', default: String(workersByDefault) },
    seed: { type: 'string' },
    scheme: { type: 'string' },
    mutant: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const workers = Number(values.workers)
const scheme = schemeNames.find((name) => name === values.scheme)
if (values.scheme !== undefined && scheme === undefined)
  throw new Error(`no scheme is called so; there are:\n${schemeNames.join('\n')}`)

if (values.help) console.log(help)
else if (values.seed !== undefined)
  process.exitCode = await repeat(Number(values.seed), scheme, values.mutant)
else if (values.mutants) process.exitCode = await tryMutants(Number(values.seeds ?? 5000), positionals[0])
else process.exitCode = await marathon()

async function repeat(seed: number, chosen: SchemeName | undefined, mutant: string | undefined) {
  const its = mutants.find(({ name }) => name === mutant)?.scheme
  const { story, failures } = await tell(seed, chosen ?? its, mutant)
  for (const line of story) console.log(line)
  for (const { violations } of failures) for (const violation of violations) console.log(`\n${violation}`)
  return failures.length > 0 ? 1 : 0
}

async function tryMutants(seeds: number, name = ''): Promise<number> {
  const chosen = mutants.filter((mutant) => mutant.name.includes(name))
  const hunts = await hunt(chosen, { seeds, workers }, ({ mutant, caught, own }) => {
    const found =
      caught === undefined ? `not within ${seeds}` : `seed ${caught.seed}: ${caught.violations[0]}`
    console.error(`${mutant.rule.padEnd(3)} ${mutant.name}\n      ${found}`)
    for (const { seed, violations } of own)
      console.error(
        `      seed ${seed} fails without it: ${violations[0]} (scheme: ${mutant.scheme ?? 'none'})`,
      )
  })
  console.log('| rule | without its guard | seeds |\n|---|---|--:|')
  for (const { mutant, caught } of hunts)
    console.log(`| ${mutant.rule} | ${mutant.name} | ${caught?.seed ?? `more than ${seeds}`} |`)
  const missed = hunts.filter(({ caught }) => caught === undefined).length
  const ownFailures = hunts.reduce((count, { own }) => count + own.length, 0)
  console.log(`${chosen.length - missed} of ${chosen.length} mutants are caught`)
  return missed + ownFailures > 0 ? 1 : 0
}

async function marathon(): Promise<number> {
  const from = Number(values.from)
  const isTimed = values.minutes !== undefined
  const seeds = Number(values.seeds ?? (isTimed ? Number.POSITIVE_INFINITY : 1000))
  const beganMs = performance.now()
  const untilMs = isTimed ? beganMs + Number(values.minutes) * 60_000 : Number.POSITIVE_INFINITY
  let toldMs = beganMs
  let failed = 0
  const { played, failures, tally } = await playMany({ from, seeds, scheme, workers, untilMs }, (outcome) => {
    for (const { seed, violations } of outcome.failures.slice(failed))
      console.error(`seed ${seed} fails: ${violations[0]}`)
    failed = outcome.failures.length
    if (performance.now() - toldMs < progressEveryMs) return
    toldMs = performance.now()
    console.error(`${outcome.played} played, ${outcome.failures.length} failed`)
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
    const { story } = await tell(first.seed, scheme)
    console.log(
      `\n${story.join('\n')}\n\nSeed ${first.seed} fails. Again: npm run simulate -- --seed ${first.seed}`,
    )
  }
  const poor = poorCells(tally, faults, leastHits)
  const isLacking = played >= seedsForTable && poor.length > 0
  if (poor.length > 0) {
    console.log(
      `\nHit fewer than ${leastHits} times: ${isLacking ? `\n${poor.join('\n')}` : `${poor.length} cells`}`,
    )
  }
  console.log(`\nSeeds ${from} to ${from + played - 1} in ${seconds} s: ${failures.length} failed.`)
  return failures.length > 0 || isLacking ? 1 : 0
}
