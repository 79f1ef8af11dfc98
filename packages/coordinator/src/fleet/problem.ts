import { closest, distance } from 'fastest-levenshtein'
import { listing } from './listing.ts'

/** One thing that is wrong with a fleet file, where it is, and what was expected instead. */
export interface Problem {
  readonly file: string
  /** From 1, as editors count. */
  readonly line: number
  readonly column: number
  readonly text: string
}

/** `filo.yaml:12:5: services.mta: unknown key "need"; did you mean "needs"?` */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.text}`
}

/** The known name that was probably meant, if one is near enough to be worth saying. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const lower = name.toLowerCase()
  const candidate = known.find((each) => each.toLowerCase() === lower) ?? closest(name, known)
  const longest = Math.max(name.length, candidate.length)
  // Two for two letters that changed places.
  const allowed = Math.max(name.length < 3 ? 1 : 2, Math.floor(longest * 0.4))
  return distance(lower, candidate.toLowerCase()) <= allowed ? candidate : undefined
}

/** `; did you mean "needs"?`, or what there is to choose from where nothing is near. */
export function hint(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  if (near !== undefined) return `; did you mean "${near}"?`
  return known.length === 0 ? '' : `; known: ${listing(known)}`
}
