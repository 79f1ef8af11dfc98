/** Durations as the fleet file writes them: a whole number and its unit. */
export const durationPattern = /^\d{1,9}(?:ms|s|m|h)$/

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a text that matches `durationPattern`. */
export function durationMs(text: string): number {
  const unit = text.replace(/^\d+/, '')
  return Number.parseInt(text, 10) * unitMs[unit]!
}
