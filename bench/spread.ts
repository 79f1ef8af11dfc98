/** What a measurement came to over several rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Rounded to a tenth. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const round = (value: number | undefined): number => Math.round(value! * 10) / 10
  return {
    median: round(sorted[Math.floor(sorted.length / 2)]),
    min: round(sorted[0]),
    max: round(sorted.at(-1)),
  }
}

/** Of the medians. */
export function ratioOf(one: Spread, other: Spread): number {
  return Math.round((one.median / other.median) * 100) / 100
}

/** `450 ms (446 to 454)`. @param width of the median. */
export function inMs({ median, min, max }: Spread, width = 0): string {
  return `${String(Math.round(median)).padStart(width)} ms (${Math.round(min)} to ${Math.round(max)})`
}
