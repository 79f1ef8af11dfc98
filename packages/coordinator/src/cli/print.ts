import type { Output } from './context.ts'

/** One JSON document, for `--json`. */
export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, undefined, 2)}\n`)
}

/** One JSON value a line, for `--jsonl`. */
export function printJsonLines(output: Output, values: Iterable<unknown>): void {
  for (const value of values) output.write(`${JSON.stringify(value)}\n`)
}

export function printLines(output: Output, lines: readonly string[]): void {
  output.write(`${lines.join('\n')}\n`)
}
