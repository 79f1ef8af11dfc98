import { namePattern } from '@filo/protocol'
import * as z from 'zod'
import { durationMs, durationPattern } from './duration.ts'

// What the schemas of the fleet file are made of. The `error` of each part is what was expected, as the end of a
// sentence that issue.ts begins; of unknown keys it is the list of those known.

export function name(what: string) {
  const error = `${what}: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit`
  return z.string({ error }).regex(namePattern, { error, abort: true })
}

/** A mapping that knows its keys. */
export function mapping<Shape extends z.core.$ZodLooseShape>(what: string, shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : what),
  })
}

export function oneOrMany<Item extends z.ZodType>(item: Item, error: string) {
  return z.union([item, z.array(item, { error }).min(1, { error })], { error })
}

export function duration(leastMs: number, mostText: string) {
  const error = 'a duration such as 500ms, 90s, 3m or 2h'
  const range = `${leastMs === 0 ? 'at most' : `${leastMs}ms to`} ${mostText}`
  return z
    .string({ error })
    .regex(durationPattern, { error, abort: true })
    .refine((text) => durationMs(text) >= leastMs && durationMs(text) <= durationMs(mostText), {
      error: `a duration of ${range}`,
    })
}

export function absolutePath(what: string) {
  const error = `${what}, an absolute path`
  return z.string({ error }).regex(/^\//, { error })
}

export function argv() {
  const error = 'a list of a program (an absolute path) and its arguments, at most 64'
  const program = absolutePath('the program to run')
  const argument = z
    .string({ error: 'an argument, a string (put numbers in quotes)' })
    .min(1, { error: 'an argument that is not empty' })
  return z.tuple([program], argument, { error }).refine((words) => words.length <= 64, { error })
}
