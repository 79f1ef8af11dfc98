import { fork, type ChildProcess } from 'node:child_process'
import { availableParallelism, constants, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { SchemeName } from './faults/schemes.ts'
import type { Mutant } from './mutants/mutant.ts'
import { Tally } from './tally.ts'
import type { Batch, Failure, Order } from './worker.ts'

/** What came of many plays. */
export interface Outcome {
  readonly played: number
  readonly failures: readonly Failure[]
  readonly tally: Tally
}

/** Seeds that a worker is given at once. */
const batchSeeds = 25

export const workersByDefault = availableParallelism()

/** A process that plays. Throws where it ends by itself. */
export class Player implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(mutant?: string): Promise<Player> {
    const child = fork(
      fileURLToPath(new URL('worker.ts', import.meta.url)),
      mutant === undefined ? [] : [mutant],
      {
        execArgv: [],
      },
    )
    // What else is tested meanwhile waits for real processes, and knows real time.
    setPriority(child.pid!, constants.priority.PRIORITY_BELOW_NORMAL)
    const player = new Player(child)
    await player.#answer()
    return player
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill()
    await gone
  }

  async play(order: Order): Promise<Batch> {
    this.#child.send(order)
    return (await this.#answer()) as Batch
  }

  async #answer(): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const onExit = (code: number | null): void => reject(new Error(`a player has ended (${code})`))
    this.#child.once('exit', onExit)
    this.#child.once('message', resolve)
    try {
      return await promise
    } finally {
      this.#child.off('exit', onExit)
      this.#child.off('message', resolve)
    }
  }
}

/** Plays all of these seeds, on all processors; begins no more after `untilMs` by `performance.now()`. */
export async function playMany(
  {
    from,
    seeds,
    scheme,
    workers = workersByDefault,
    untilMs = Number.POSITIVE_INFINITY,
  }: { from: number; seeds: number; scheme?: SchemeName | undefined; workers?: number; untilMs?: number },
  onProgress: (outcome: Outcome) => void = () => {},
): Promise<Outcome> {
  const tally = new Tally()
  const failures: Failure[] = []
  let next = from
  let played = 0
  const end = from + seeds
  await Promise.all(
    Array.from({ length: workers }, async () => {
      await using player = await Player.start()
      while (next < end && performance.now() < untilMs) {
        const first = next
        next = Math.min(end, first + batchSeeds)
        const order = { from: first, to: next - 1, scheme, stopsAtFirst: false, isTraced: false }
        const batch = await player.play(order)
        tally.add(batch.counts)
        failures.push(...batch.failures)
        played += batch.played
        onProgress({ played, failures, tally })
      }
    }),
  )
  return { played, failures: failures.toSorted((one, other) => one.seed - other.seed), tally }
}

/** Plays one seed and tells its story. */
export async function tell(seed: number, scheme?: SchemeName, mutant?: string): Promise<Batch> {
  await using player = await Player.start(mutant)
  return await player.play({ from: seed, to: seed, scheme, stopsAtFirst: true, isTraced: true })
}

/** What came of looking for a mutant. */
export interface Hunt {
  readonly mutant: Mutant
  /** The first play in which it shows; undefined where it does not. */
  readonly caught: Failure | undefined
  /** Plays that the product fails without it: they do not count, and should not be. */
  readonly own: readonly Failure[]
}

/** Looks for each of these mutants, in plays of its own scheme, from seed 1 to `seeds` at most. */
export async function hunt(
  mutants: readonly Mutant[],
  { seeds, workers }: { readonly seeds: number; readonly workers: number },
  onDone: (hunt: Hunt) => void = () => {},
): Promise<readonly Hunt[]> {
  const left = [...mutants]
  const done: Hunt[] = []
  await Promise.all(
    Array.from({ length: workers }, async () => {
      await using product = await Player.start()
      for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
        const hunted = await huntOne(mutant, seeds, product)
        done.push(hunted)
        onDone(hunted)
      }
    }),
  )
  return mutants.map((mutant) => done.find((one) => one.mutant === mutant)!)
}

async function huntOne(mutant: Mutant, seeds: number, product: Player): Promise<Hunt> {
  const { name, scheme } = mutant
  await using player = await Player.start(name)
  const own: Failure[] = []
  for (let from = 1; from <= seeds;) {
    const order = { scheme, stopsAtFirst: true, isTraced: false }
    const [caught] = (await player.play({ ...order, from, to: seeds })).failures
    if (caught === undefined) break
    const { seed } = caught
    const { failures } = await product.play({ ...order, from: seed, to: seed })
    if (failures.length === 0) return { mutant, caught, own }
    own.push(...failures)
    from = seed + 1
  }
  return { mutant, caught: undefined, own }
}
