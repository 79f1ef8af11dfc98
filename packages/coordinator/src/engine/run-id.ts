import { randomInt } from 'node:crypto'

/** A new run's name: when it was ordered (UTC), and four characters against collisions: `r20261120-031500-k7qd`. */
export function newRunId(now: Date): string {
  const [date, time] = now.toISOString().split('T') as [string, string]
  const letters = Array.from({ length: 4 }, () => randomInt(36).toString(36)).join('')
  return `r${date.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}-${letters}`
}
