import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter } from 'vitest/node'

/** What is read of a coverage map of istanbul. */
interface CoverageMap {
  files(): string[]
  fileCoverageFor(file: string): {
    readonly branchMap: Record<string, Branch>
    /** How often each way of a branch was taken. */
    readonly b: Record<string, number[]>
  }
}

interface Branch {
  readonly type: string
  readonly loc: Place
  /** One for each way; empty for an `else` that is not written. */
  readonly locations: readonly Partial<Place>[]
}

interface Place {
  readonly start: { readonly line?: number; readonly column?: number }
}

const advice =
  'Write a test for each, with a title that could be false. If nothing can take it, remove it by a better type or\n' +
  'another shape. See CONTRIBUTING.md, "How tests are layered".'

/** Of the files whose coverage is taken, each branch that no test takes, as an editor can open it. */
export class Uncovered implements Reporter {
  onCoverage(coverage: unknown): void {
    const map = coverage as CoverageMap
    const all = map
      .files()
      .toSorted()
      .flatMap((file) => waysOf(file, map))
    const missed = all.filter(({ count }) => count === 0).map(({ text }) => text())
    const lines =
      missed.length === 0
        ? [`Unit tests take all ${all.length} branches of the pure folders.`]
        : [
            `Unit tests take all but ${missed.length} of ${all.length} branches of the pure folders:`,
            ...missed,
            advice,
          ]
    process.stdout.write(`\n${lines.join('\n')}\n`)
  }
}

function waysOf(file: string, map: CoverageMap): { readonly count: number; readonly text: () => string }[] {
  const { b: counts, branchMap } = map.fileCoverageFor(file)
  return Object.entries(branchMap).flatMap(([key, { type, loc, locations }]) =>
    counts[key]!.map((count, way) => ({
      count,
      text: () => {
        const written = locations[way]?.start
        const { line = 1, column = 0 } = written?.line === undefined ? loc.start : written
        const source = readFileSync(file, 'utf8').split('\n')[line - 1]!.trim()
        return `  ${relative(process.cwd(), file)}:${line}:${column + 1}: ${nameOf(type, way)}: ${source}`
      },
    })),
  )
}

function nameOf(type: string, way: number): string {
  switch (type) {
    case 'if':
    case 'cond-expr':
      return way === 0 ? 'never true' : 'never false'
    case 'switch':
      return 'no such case'
    case 'default-arg':
      return 'default never used'
    default:
      return 'never needed'
  }
}
