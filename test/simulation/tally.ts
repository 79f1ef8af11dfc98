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

interface Row {
  readonly name: string
  /** Where it cannot happen, and why. */
  readonly never?: Partial<Record<Phase, string>>
}

/** The table of faults and phases, as Markdown, with the reasons for what it cannot have. */
export function tableOf(tally: Tally, faults: readonly Row[]): string {
  const lines = faults.map(({ name, never }) => {
    const cells = phases.map((phase) => (never?.[phase] === undefined ? tally.cell(name, phase) : '–'))
    return `| ${name} | ${cells.join(' | ')} |`
  })
  const reasons = new Map<string, string[]>()
  for (const { name, never = {} } of faults) {
    for (const [phase, why] of Object.entries(never)) {
      const key = `*${phase}*, ${why}`
      reasons.set(key, [...(reasons.get(key) ?? []), name])
    }
  }
  const notes = [...reasons].map(([why, names]) => `- ${why}: ${names.join('; ')}.`)
  const head = [`| | ${phases.join(' | ')} |`, `|---|${phases.map(() => '--:|').join('')}`]
  return [...head, ...lines, '', 'What cannot be (–):', '', ...notes].join('\n')
}

/** The cells of the table that were hit less often than `least`, with how often. */
export function poorCells(tally: Tally, faults: readonly Row[], least: number): string[] {
  return faults.flatMap(({ name, never }) =>
    phases.flatMap((phase) => {
      const count = tally.cell(name, phase)
      return never?.[phase] === undefined && count < least ? [`${name} × ${phase}: ${count}`] : []
    }),
  )
}
