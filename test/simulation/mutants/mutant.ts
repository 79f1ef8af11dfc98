import type { SchemeName } from '../faults/schemes.ts'

/** A guard taken out of the product. */
export interface Mutant {
  /** What the code does without it, in words. */
  readonly name: string
  /** What it breaks: R1-R14, A1. */
  readonly rule: string
  readonly edits: readonly Edit[]
  /** What goes wrong in the plays in which it is looked for, where few others bring about what it takes. */
  readonly scheme?: SchemeName
}

/** A text that stands exactly once in a file, and what is put in its place. */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** One edit in one file. */
export function mutant(
  rule: string,
  name: string,
  file: string,
  from: string,
  to: string,
  scheme?: SchemeName,
): Mutant {
  return { rule, name, edits: [{ file, from, to }], ...(scheme && { scheme }) }
}
