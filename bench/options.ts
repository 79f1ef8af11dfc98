import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

/** The options of a benchmark, each of which has a default, and `--json FILE`. */
export function optionsOf<Name extends string>(
  args: string[],
  defaults: Readonly<Record<Name, string>>,
): Readonly<Record<Name, string>> & { readonly json?: string } {
  const named = Object.entries<string>(defaults).map(
    ([name, value]) => [name, { type: 'string', default: value }] as const,
  )
  const options = { ...Object.fromEntries(named), json: { type: 'string' } } as const
  return parseArgs({ args, options }).values as ReturnType<typeof optionsOf<Name>>
}

/** What `40,200` names. */
export function numbersOf(list: string): number[] {
  return list.split(',').map(Number)
}

/** Where `--json` says, else printed. */
export function writeJson(figures: object, file: string | undefined): void {
  const json = JSON.stringify(figures, undefined, 2)
  if (file === undefined) console.log(json)
  else writeFileSync(file, `${json}\n`)
}
