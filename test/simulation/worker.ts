import { setPriority } from 'node:os'
import type { SchemeName } from './faults/schemes.ts'
import { hookProduct } from './hooks.ts'
import { mutants } from './mutants/all.ts'
import type { TallyCounts } from './tally.ts'

// A process that plays: the product is loaded into it as hooks.ts says, perhaps with a mutant in it.

/** What it is asked for. */
export interface Order {
  readonly from: number
  /** The last. */
  readonly to: number
  /** What goes wrong together in each of them; where it is missing, their seeds say it. */
  readonly scheme?: SchemeName | undefined
  readonly stopsAtFirst: boolean
  readonly isTraced: boolean
}

export interface Failure {
  readonly seed: number
  readonly violations: readonly string[]
}

/** What came of it. */
export interface Batch {
  readonly played: number
  readonly failures: readonly Failure[]
  readonly counts: TallyCounts
  /** Of the last play, where it was asked for. */
  readonly story: readonly string[]
}

/** Below all other tests, which wait for real processes with real clocks. */
const niceness = 10

async function serve(mutantName: string | undefined): Promise<void> {
  setPriority(niceness)
  hookProduct(mutants.find(({ name }) => name === mutantName))
  const { playOut } = await import('./play.ts')
  const { Tally } = await import('./tally.ts')
  const { ProcessEnded } = await import('./world/process.ts')
  const stray: string[] = []
  const takeStray = (error: unknown): void => {
    // The code of a process that has been killed runs into this wherever it goes on.
    if (!(error instanceof ProcessEnded))
      stray.push(error instanceof Error ? String(error.stack) : String(error))
  }
  process.on('unhandledRejection', takeStray)
  // What a listener to a signal throws.
  process.on('uncaughtException', takeStray)
  const play = async ({ from, to, scheme, stopsAtFirst, isTraced }: Order): Promise<Batch> => {
    // Where nobody reads them, the stacks of errors are a good part of the costs.
    Error.stackTraceLimit = isTraced ? 20 : 0
    const tally = new Tally()
    const failures: Failure[] = []
    let story: readonly string[] = []
    let seed = from
    for (; seed <= to; seed += 1) {
      const played = await playOut(seed, tally, scheme, isTraced)
      story = played.story
      const violations = [...played.violations, ...stray.splice(0)]
      if (violations.length === 0) continue
      failures.push({ seed, violations })
      if (stopsAtFirst) break
    }
    return { played: Math.min(seed, to) - from + 1, failures, counts: tally.counts(), story }
  }
  process.on('message', (order: Order) => {
    play(order).then(
      (batch) => process.send!(batch),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  process.send!('ready')
}

await serve(process.argv[2])
