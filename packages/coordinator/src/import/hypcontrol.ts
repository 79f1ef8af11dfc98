import type { Problem } from '../fleet/problem.ts'
import { problemAt, type SourceFile } from './source-file.ts'

// The `hypcontrol.conf` of Canopsis: a shell script that says which services are in which stage. It is read as data,
// for which only its plainest form can be understood; nothing of it is ever run.

export const hypcontrolStages = ['backend', 'middleware', 'frontend'] as const
export type HypcontrolStage = (typeof hypcontrolStages)[number]

export type ReadHypcontrol =
  | { readonly kind: 'stages'; readonly stages: ReadonlyMap<HypcontrolStage, readonly string[]> }
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] }

const blank = /(?:\s|#.*)*/y
const opening = /([A-Za-z_][A-Za-z0-9_]*)=\(/y
const word = /'([^'\n]*)'|"([^"$`\\\n]*)"|([A-Za-z0-9_.:@+,/-]+)/y
const wordEnd = /(?=[\s)]|$)/y
const anyWord = /\S[^\s)]*|$/y

/** Reads it whole; all that is not an assignment of plain words to one of the three arrays is refused. */
export function readHypcontrol(source: SourceFile): ReadHypcontrol {
  const reader = new Reader(source)
  const stages = new Map<HypcontrolStage, readonly string[]>()
  for (let at = reader.skip(0); at < source.text.length; at = reader.skip(at))
    at = readArray(reader, at, stages)
  if (reader.problems.length > 0) return { kind: 'refused', problems: reader.problems }
  if (stages.size === 0) {
    return {
      kind: 'refused',
      problems: [problemAt(source, 0, 'none of the arrays BACKEND, MIDDLEWARE, FRONTEND')],
    }
  }
  return { kind: 'stages', stages }
}

/** Notes what the array at `at` holds; gives where to read on. */
function readArray(reader: Reader, at: number, stages: Map<HypcontrolStage, readonly string[]>): number {
  const match = reader.match(opening, at)
  if (match === null) {
    reader.refuse(at, 'expected an array such as BACKEND=(mongodb redis-server)')
    return reader.endOfLine(at)
  }
  const name = match[1]!
  const stage = hypcontrolStages.find((each) => each.toUpperCase() === name)
  if (stage === undefined) reader.refuse(at, `"${name}" is none of BACKEND, MIDDLEWARE, FRONTEND`)
  else if (stages.has(stage)) reader.refuse(at, `${name} is given twice`)
  const [services, end] = readWords(reader, at + match[0].length)
  if (stage !== undefined) stages.set(stage, services)
  return end
}

/** The words up to the closing parenthesis, and where to read on. */
function readWords(reader: Reader, from: number): [words: string[], end: number] {
  const words: string[] = []
  let at = reader.skip(from)
  while (reader.text[at] !== ')') {
    if (at >= reader.text.length) {
      reader.refuse(from, 'this array has no closing ")"')
      return [words, at]
    }
    const match = reader.match(word, at)
    const end = at + (match?.[0].length ?? 0)
    const value = match?.[1] ?? match?.[2] ?? match?.[3] ?? ''
    if (value === '' || reader.match(wordEnd, end) === null) {
      const found = reader.match(anyWord, at)![0]
      reader.refuse(at, `expected the plain name of a service; only a shell could tell what ${found} means`)
      at += found.length
    } else {
      words.push(value)
      at = end
    }
    at = reader.skip(at)
  }
  return [words, at + 1]
}

/** A text with its faults. */
class Reader {
  readonly text: string
  readonly problems: Problem[] = []
  readonly #source: SourceFile

  constructor(source: SourceFile) {
    this.#source = source
    this.text = source.text
  }

  match(pattern: RegExp, at: number): RegExpExecArray | null {
    pattern.lastIndex = at
    return pattern.exec(this.text)
  }

  /** Where something stands again, behind blanks and comments. */
  skip(at: number): number {
    return at + this.match(blank, at)![0].length
  }

  endOfLine(at: number): number {
    const end = this.text.indexOf('\n', at)
    return end < 0 ? this.text.length : end
  }

  refuse(at: number, words: string): void {
    this.problems.push(problemAt(this.#source, at, words))
  }
}
