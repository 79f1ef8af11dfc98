import { fork, type ChildProcess } from 'node:child_process'
import { availableParallelism, constants, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
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
    workers = workersByDefault,
    untilMs = Number.POSITIVE_INFINITY,
  }: { from: number; seeds: number; workers?: number; untilMs?: number },
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
        const batch = await player.play({ from: first, to: next - 1, stopsAtFirst: false, isTraced: false })
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
export async function tell(seed: number, mutant?: string): Promise<Batch> {
  await using player = await Player.start(mutant)
  return await player.play({ from: seed, to: seed, stopsAtFirst: true, isTraced: true })
}

/**
 * The first seed, from 1, in which a mutant shows; undefined where it does not up to `seeds`. A seed in which the
 * product fails without it does not count.
 */
export async function catchMutant(mutant: string, seeds: number): Promise<Failure | undefined> {
  await using player = await Player.start(mutant)
  for (let from = 1; from <= seeds;) {
    const batch = await player.play({ from, to: seeds, stopsAtFirst: true, isTraced: false })
    const [failure] = batch.failures
    if (failure === undefined) return undefined
    const { failures: own } = await playMany({ from: failure.seed, seeds: 1, workers: 1 })
    if (own.length === 0) return failure
    from = failure.seed + 1
  }
  return undefined
}

/** Does something with each of these, so many at once. */
export async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  task: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items]
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await task(item)
    }),
  )
}
