import type { Mutant } from './mutant.ts'
import { mutantsOfAgents } from './of-agents.ts'
import { mutantsOfRuns } from './of-runs.ts'
import { mutantsOfTheEngine } from './of-the-engine.ts'

/** Every guard that is taken out of the product, one at a time, to see whether the simulation notices. */
export const mutants: readonly Mutant[] = [
  ...mutantsOfRuns,
  ...mutantsOfTheEngine,
  ...mutantsOfAgents,
].toSorted((one, other) => Number(one.rule.slice(1)) - Number(other.rule.slice(1)))
