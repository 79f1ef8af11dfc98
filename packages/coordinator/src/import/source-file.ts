import { placeIn, type Problem } from '../fleet/problem.ts'

/** A file that a fleet is read from. */
export interface SourceFile {
  /** As the operator named it: for problems. */
  readonly file: string
  readonly text: string
}

/** A fault at an offset of the text. */
export function problemAt({ file, text }: SourceFile, offset: number, words: string): Problem {
  return { file, ...placeIn(text, offset), text: words }
}
