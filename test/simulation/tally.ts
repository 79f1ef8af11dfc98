import { phases, type Phase } from './faults/phases.ts'

/** How often each fault has struck in each phase, and what else is counted over plays. */
export class Tally {
  readonly #cells = new Map<string, Map<string, number>>()

  count(fault: string, column: string, count = 1): void {
    const row = this.#cells.get(fault)
    if (row === undefined) this.#cells.set(fault, new Map([[column, count]]))
    else row.set(column, (row.get(column) ?? 0) + count)
  }

  cell(fault: string, phase: Phase): number {
    return this.#cells.get(fault)?.get(phase) ?? 0
  }

  row(fault: string): ReadonlyMap<string, number> {
    return this.#cells.get(fault) ?? new Map()
  }

  add(counts: TallyCounts): void {
    for (const [fault, columns] of counts) {
      for (const [column, count] of columns) this.count(fault, column, count)
    }
  }

  counts(): TallyCounts {
    return [...this.#cells].map(([fault, row]) => [fault, [...row]])
  }
}

/** As it travels between processes. */
export type TallyCounts = readonly (readonly [string, readonly (readonly [string, number])[]])[]

/** The table of faults and phases, as Markdown. */
export function tableOf(
  tally: Tally,
  faults: readonly { readonly name: string; readonly never?: readonly Phase[] }[],
): string {
  const lines = faults.map(({ name, never = [] }) => {
    const cells = phases.map((phase) => (never.includes(phase) ? '–' : String(tally.cell(name, phase))))
    return `| ${name} | ${cells.join(' | ')} |`
  })
  return [`| | ${phases.join(' | ')} |`, `|---|${phases.map(() => '--:|').join('')}`, ...lines].join('\n')
}
