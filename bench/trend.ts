import { spread, type Spread } from './spread.ts'

/** What was seen at a moment. */
export interface Point {
  readonly atMs: number
  readonly value: number
}

/** How a figure behaves over time. */
export interface Trend extends Spread {
  /** Of the straight line that fits best by least squares. */
  readonly perHour: number
}

export function trendOf(points: readonly Point[]): Trend {
  const values = points.map(({ value }) => value)
  return { ...spread(values), perHour: Math.round(slopeOf(points) * 3_600_000 * 10) / 10 }
}

function slopeOf(points: readonly Point[]): number {
  const meanAtMs = meanOf(points.map(({ atMs }) => atMs))
  const mean = meanOf(points.map(({ value }) => value))
  const together = points.reduce((sum, { atMs, value }) => sum + (atMs - meanAtMs) * (value - mean), 0)
  return together / points.reduce((sum, { atMs }) => sum + (atMs - meanAtMs) ** 2, 0)
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
