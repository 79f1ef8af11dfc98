import type { Fleet } from '../packages/coordinator/src/fleet/fleet.ts'
import { parseFleet } from '../packages/coordinator/src/fleet/parse-fleet.ts'

/** The fleet of a file that a benchmark wrote. */
export function fleetOf(text: string): Fleet {
  const parsed = parseFleet(text, 'bench.yaml')
  if (parsed.kind === 'fleet') return parsed.fleet
  throw new Error(`the generated fleet is refused: ${parsed.problems[0]?.text}`)
}
