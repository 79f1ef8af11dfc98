import { namePattern } from '@filo/protocol'
import type { Problem } from '../fleet/problem.ts'
import { readIni, type IniOption, type IniSection } from './ini.ts'
import { problemAt, type SourceFile } from './source-file.ts'

// The configuration of supervisord (http://supervisord.org/configuration.html): which programs and groups it has, the
// order in which it starts them, and how it is reached.

/** How a supervisord is reached. */
export interface SupervisordAccess {
  readonly socket: string
  readonly username?: string
  readonly password?: string
}

/** A program that is in no group, or a group. */
export interface SupervisordService {
  readonly name: string
  /** Whether it has to be named as a group: a group, or a program of several processes. */
  readonly isGroup: boolean
  /** Lower ones start first and stop last. */
  readonly priority: number
}

export interface SupervisordConf {
  readonly access: SupervisordAccess
  /** In the order in which supervisord starts them. */
  readonly services: readonly SupervisordService[]
}

export type ReadSupervisordConf =
  | { readonly kind: 'conf'; readonly conf: SupervisordConf }
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] }

/** What expressions such as %(here)s may stand for. */
export type Expansions = Readonly<Record<string, string>>

/** supervisord's own default for programs and groups. */
const usualPriority = 999
/** Event listeners come before all that they listen to. */
const listenerPriority = -1

/** The patterns of the files that `[include]` names, as they are written. Only the main file may include. */
export function includePatterns(main: SourceFile, expansions: Expansions): string[] {
  const context = new Context(expansions)
  const option = readIni(main, [])
    .find(({ name }) => name === 'include')
    ?.options.get('files')
  return option === undefined ? [] : context.expand(option).split(/\s+/).filter(Boolean)
}

/** Reads the main file and those that it includes, all faults at once. */
export function readSupervisordConf(
  files: readonly SourceFile[],
  expansions: Expansions,
): ReadSupervisordConf {
  const context = new Context(expansions)
  const sections = files.flatMap((file) => readIni(file, context.problems))
  const services = servicesOf(sections, context)
  const access = accessOf(sections, context)
  if (services.length === 0 && context.problems.length === 0) {
    context.problems.push(problemAt(files[0]!, 0, 'there is no [program:x] in it or in what it includes'))
  }
  if (access === undefined && context.problems.length === 0) {
    const words =
      'no [unix_http_server] with a file and no [inet_http_server] with a port: Filo speaks to it by these'
    context.problems.push(problemAt(files[0]!, 0, words))
  }
  if (access === undefined || context.problems.length > 0)
    return { kind: 'refused', problems: context.problems }
  return { kind: 'conf', conf: { access, services } }
}

/** How a supervisord is reached, of whatever programs it has. */
export function readSupervisordAccess(
  main: SourceFile,
  expansions: Expansions,
): SupervisordAccess | undefined {
  const context = new Context(expansions)
  const access = accessOf(readIni(main, context.problems), context)
  return context.problems.length === 0 ? access : undefined
}

function servicesOf(sections: readonly IniSection[], context: Context): SupervisordService[] {
  const programs = new Map<string, SupervisordService>()
  const groups: SupervisordService[] = []
  const grouped = new Map<string, IniOption>()
  for (const section of sections) {
    const [, kind, name] = /^(program|fcgi-program|eventlistener|group):(.*)$/.exec(section.name) ?? []
    if (kind === undefined || name === undefined) continue
    if (!namePattern.test(name))
      context.refuse(section, `"${name}" cannot be the name of a service in a fleet file`)
    if (programs.has(name) || groups.some((group) => group.name === name)) {
      context.refuse(section, `"${name}" is the name of two programs or groups`)
    }
    const usual = kind === 'eventlistener' ? listenerPriority : usualPriority
    const priority = context.integer(section.options.get('priority'), usual)
    if (kind !== 'group') {
      programs.set(name, { name, isGroup: isMany(section, context), priority })
      continue
    }
    groups.push({ name, isGroup: true, priority })
    const members = section.options.get('programs')
    if (members === undefined) context.refuse(section, `group "${name}" has no programs`)
    else
      for (const member of context
        .expand(members)
        .split(/[\s,]+/)
        .filter(Boolean))
        grouped.set(member, members)
  }
  for (const [member, option] of grouped) {
    if (!programs.has(member)) context.refuse(option, `there is no program "${member}"`)
  }
  const alone = [...programs.values()].filter(({ name }) => !grouped.has(name))
  return [...groups, ...alone].toSorted((one, other) => one.priority - other.priority)
}

/** Whether a program is a group of processes that are called otherwise than itself. */
function isMany(section: IniSection, context: Context): boolean {
  return section.options.has('process_name') || context.integer(section.options.get('numprocs'), 1) > 1
}

function accessOf(sections: readonly IniSection[], context: Context): SupervisordAccess | undefined {
  const byName = (name: string) => sections.find((section) => section.name === name)
  const unix = byName('unix_http_server')
  const inet = byName('inet_http_server')
  const file = unix?.options.get('file')
  const port = inet?.options.get('port')
  if (unix !== undefined && file !== undefined)
    return { socket: context.expand(file), ...login(unix, context) }
  if (inet === undefined || port === undefined) return undefined
  const [, host = '', number = ''] = /^(?:(.*):)?(\d+)$/.exec(context.expand(port)) ?? []
  if (number === '') context.refuse(port, 'expected a port, or host:port')
  const address = host === '' || host === '*' ? '127.0.0.1' : host
  return { socket: `http://${address}:${number}`, ...login(inet, context) }
}

function login({ options }: IniSection, context: Context): Omit<SupervisordAccess, 'socket'> {
  const username = options.get('username')
  const password = options.get('password')
  if (username === undefined || password === undefined) return {}
  const plain = context.expand(password)
  if (plain.startsWith('{SHA}')) {
    context.refuse(password, 'the password stands here as its hash; Filo needs the password itself')
  }
  return { username: context.expand(username), password: plain }
}

/** What values stand for, and the faults found on the way. */
class Context {
  readonly problems: Problem[] = []
  readonly #expansions: Expansions

  constructor(expansions: Expansions) {
    this.#expansions = expansions
  }

  refuse({ file, offset }: { readonly file: SourceFile; readonly offset: number }, words: string): void {
    this.problems.push(problemAt(file, offset, words))
  }

  expand(option: IniOption): string {
    return option.value.replaceAll(/%%|%\(([^)]*)\)s/g, (expression, name: string | undefined) => {
      if (name === undefined) return '%'
      const value = this.#expansions[name]
      if (value === undefined) this.refuse(option, `what ${expression} stands for is not known here`)
      return value ?? ''
    })
  }

  integer(option: IniOption | undefined, usual: number): number {
    if (option === undefined) return usual
    const text = this.expand(option)
    if (/^-?\d{1,6}$/.test(text)) return Number(text)
    this.refuse(option, `expected a whole number; found "${text}"`)
    return usual
  }
}
