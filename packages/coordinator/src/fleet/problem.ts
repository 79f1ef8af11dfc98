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

/** Where an offset of a text is. */
export function placeIn(text: string, offset: number): Pick<Problem, 'line' | 'column'> {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

/** `filo.yaml:12:5: services.mta: unknown key "need"; did you mean "needs"?` */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.text}`
}

/** The known name that was probably meant, if one is near enough to be worth saying. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const lower = name.toLowerCase()
  const same = known.find((each) => each.toLowerCase() === lower || isSwap(name, each))
  if (same !== undefined) return same
  const candidate = closest(name, known)
  const allowed = Math.floor(Math.max(name.length, candidate.length) * 0.4)
  return distance(lower, candidate.toLowerCase()) <= allowed ? candidate : undefined
}

/** Two neighbouring letters changed places, the commonest slip of all; as a distance it counts two. */
function isSwap(left: string, right: string): boolean {
  if (left.length !== right.length) return false
  let at = 0
  while (at < left.length && left[at] === right[at]) at += 1
  return (
    left[at] === right[at + 1] && left[at + 1] === right[at] && left.slice(at + 2) === right.slice(at + 2)
  )
}

/** `; did you mean "needs"?`, or what there is to choose from where nothing is near. */
export function hint(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? `; known: ${listing(known)}` : `; did you mean "${near}"?`
}
