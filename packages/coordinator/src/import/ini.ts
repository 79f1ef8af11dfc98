import type { Problem } from '../fleet/problem.ts'
import { problemAt, type SourceFile } from './source-file.ts'

// INI files as supervisord reads them, which is as Python's configparser does.

export interface IniOption {
  readonly value: string
  readonly file: SourceFile
  /** Where it begins in its file. */
  readonly offset: number
}

export interface IniSection {
  readonly name: string
  readonly file: SourceFile
  readonly offset: number
  readonly options: ReadonlyMap<string, IniOption>
}

/** The sections of a file, in order. What is neither a section nor an option of one is noted in `problems`. */
export function readIni(file: SourceFile, problems: Problem[]): IniSection[] {
  const sections: (IniSection & { readonly options: Map<string, IniOption> })[] = []
  let latest: string | undefined
  let offset = 0
  for (const line of file.text.split('\n')) {
    const at = offset
    offset += line.length + 1
    // A comment stands at the beginning of a line, or behind a blank.
    const bare = line.replace(/(?:^|\s)[;#].*$/, '').trimEnd()
    if (bare.trim() === '') continue
    const section = sections.at(-1)
    const heading = /^\[(.+)\]$/.exec(bare)?.[1]
    const option = /^([^\s=:][^=:]*?)\s*[=:]\s*(.*)$/.exec(bare)
    const continued = latest === undefined ? undefined : section?.options.get(latest)
    if (heading !== undefined) {
      sections.push({ name: heading, file, offset: at, options: new Map() })
      latest = undefined
    } else if (/^\s/.test(bare) && section !== undefined && latest !== undefined && continued !== undefined) {
      section.options.set(latest, { ...continued, value: `${continued.value}\n${bare.trim()}` })
    } else if (option !== null && section !== undefined) {
      latest = option[1]!.toLowerCase()
      if (section.options.has(latest)) problems.push(problemAt(file, at, `"${latest}" is given twice`))
      section.options.set(latest, { value: option[2]!, file, offset: at })
    } else {
      problems.push(problemAt(file, at, 'expected a [section], or an option such as priority=10 in one'))
    }
  }
  return sections
}
