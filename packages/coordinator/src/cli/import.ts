import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { formatProblem, type Problem } from '../fleet/problem.ts'
import { hypcontrolStages, readHypcontrol, type HypcontrolStage } from '../import/hypcontrol.ts'
import type { SourceFile } from '../import/source-file.ts'
import {
  includePatterns,
  readSupervisordAccess,
  readSupervisordConf,
  type Expansions,
  type SupervisordAccess,
} from '../import/supervisord-conf.ts'
import { writeFleet, type ImportedFleet } from '../import/write-fleet.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { printLines } from './print.ts'

/** The host of a fleet that was read from one machine's configuration. */
const usualHost = 'localhost'

export interface ImportOptions {
  readonly host: readonly string[]
  readonly output?: string
}

export interface HypcontrolOptions extends ImportOptions {
  readonly home?: string
  readonly socket?: string
}

/** `filo import hypcontrol`: the three stages of Canopsis, each of its services as its `service` script finds it. */
export async function importHypcontrol(
  context: Context,
  file: string,
  options: HypcontrolOptions,
): Promise<ExitCode> {
  const source = readSource(context, file)
  const read = readHypcontrol(source)
  if (read.kind === 'refused') throw refusal(read.problems)
  const home = resolve(context.cwd, options.home ?? dirname(dirname(resolve(context.cwd, file))))
  const access = options.socket === undefined ? accessIn(context, home) : { socket: options.socket }
  const hostsOf = assignHosts(options.host)
  const stages = [...read.stages].filter(([, services]) => services.length > 0)
  const services = stages.flatMap(([stage, names]) =>
    names.map((name) => ({
      name,
      hosts: hostsOf(stage),
      keys: {
        canopsis: { name, dir: join(home, 'etc/init.d'), ...access },
        ...(name.includes('rabbitmq') && { carries: 'broker' }),
      },
    })),
  )
  return await deliver(context, options, {
    name: 'canopsis',
    heading: [
      `Read from ${source.file}. A service is an LSB script in ${join(home, 'etc/init.d')}, or else a program or`,
      'group of supervisord; with "together: true" a group starts and stops all at once, as by mstart and mstop.',
      '"carries: broker" keeps Filo from stopping the RabbitMQ that it speaks through; take it out where that is another.',
    ],
    hosts: [...new Set(stages.flatMap(([stage]) => hostsOf(stage)))],
    services,
    stages: stages.map(([name, members]) => ({ name, services: members })),
  })
}

/** `filo import supervisord`: programs and groups, and their priorities as stages. */
export async function importSupervisord(
  context: Context,
  file: string,
  options: ImportOptions,
): Promise<ExitCode> {
  const main = readSource(context, file)
  const expansions = expansionsFor(context, file)
  const directory = dirname(resolve(context.cwd, file))
  const included = includePatterns(main, expansions).flatMap((pattern) =>
    globSync(isAbsolute(pattern) ? pattern : join(directory, pattern)).toSorted(),
  )
  const read = readSupervisordConf([main, ...included.map((path) => readSource(context, path))], expansions)
  if (read.kind === 'refused') throw refusal(read.problems)
  const { services } = read.conf
  const access = tidy(read.conf.access)
  const hosts = options.host.length === 0 ? [usualHost] : options.host
  const byPriority = [...Map.groupBy(services, ({ priority }) => priority)]
  return await deliver(context, options, {
    name: 'supervisord',
    heading: [`Read from ${main.file}. What has a lower priority starts first and stops last.`],
    hosts,
    services: services.map(({ name, isGroup }) => ({
      name,
      hosts,
      keys: { supervisord: { [isGroup ? 'group' : 'program']: name, ...access } },
    })),
    stages:
      byPriority.length < 2
        ? []
        : byPriority.map(([priority, members]) => ({
            name: `priority${priority}`,
            services: members.map((member) => member.name),
          })),
  })
}

/** The hosts of a stage: those given for it, else those given for none, else one. */
function assignHosts(given: readonly string[]): (stage: HypcontrolStage) => readonly string[] {
  const pairs = given.map((each) => {
    const at = each.indexOf('=')
    const stage = at < 0 ? undefined : each.slice(0, at)
    if (stage !== undefined && !hypcontrolStages.includes(stage as HypcontrolStage)) {
      const known = hypcontrolStages.join(', ')
      throw new Exit(exitCodes.usage, `--host ${each}: there is no stage "${stage}"; the stages are ${known}`)
    }
    return { stage, host: each.slice(at + 1) }
  })
  const hostsFor = (stage: string | undefined): string[] =>
    pairs.filter((pair) => pair.stage === stage).map(({ host }) => host)
  const usual = hostsFor(undefined)
  return (stage) => [hostsFor(stage), usual, [usualHost]].find((hosts) => hosts.length > 0)!
}

function accessIn(context: Context, home: string): SupervisordAccess {
  const file = join(home, 'etc/supervisord.conf')
  const advice =
    'say where its supervisord listens with --socket, or where etc/supervisord.conf is with --home'
  let main: SourceFile
  try {
    main = readSource(context, file)
  } catch (error) {
    if (!(error instanceof Exit)) throw error
    throw new Exit(error.code, `${error.message}; ${advice}`)
  }
  const access = readSupervisordAccess(main, expansionsFor(context, file))
  if (access === undefined) {
    throw new Exit(exitCodes.refused, `${main.file} does not say where supervisord listens; ${advice}`)
  }
  return tidy(access)
}

/** A socket is often named from the configuration's own folder: /home/canopsis/etc/../var/s.sock. */
function tidy(access: SupervisordAccess): SupervisordAccess {
  return isAbsolute(access.socket) ? { ...access, socket: normalize(access.socket) } : access
}

/** What supervisord would put into the place of expressions in its configuration, if it ran for this user here. */
function expansionsFor(context: Context, file: string): Expansions {
  const variables = Object.entries(context.environment).map(([name, value]) => [`ENV_${name}`, value ?? ''])
  return { ...Object.fromEntries(variables), here: dirname(resolve(context.cwd, file)) }
}

function readSource(context: Context, file: string): SourceFile {
  const path = resolve(context.cwd, file)
  const shown = relative(context.cwd, path)
  try {
    return { file: shown.startsWith('..') ? path : shown, text: readFileSync(path, 'utf8') }
  } catch (error) {
    throw new Exit(exitCodes.configuration, `${file} cannot be read: ${(error as Error).message}`)
  }
}

/** Prints the fleet file, or writes it; never over one that is there, and never one that Filo would refuse. */
async function deliver(
  { cwd, stdout }: Context,
  { output }: ImportOptions,
  fleet: ImportedFleet,
): Promise<ExitCode> {
  const text = writeFleet(fleet)
  const parsed = parseFleet(text, output ?? 'the fleet file that came of it')
  if (parsed.kind === 'refused') throw refusal(parsed.problems)
  if (output === undefined) {
    stdout.write(text)
    return exitCodes.done
  }
  try {
    writeFileSync(resolve(cwd, output), text, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new Exit(
      exitCodes.usage,
      `${output} is there already, and stays as it is; name another with --output`,
    )
  }
  printLines(stdout, [`wrote ${output}; look at it, then: filo -f ${output} validate`])
  return exitCodes.done
}

function refusal(problems: readonly Problem[]): Exit {
  return new Exit(exitCodes.refused, problems.map(formatProblem).join('\n'))
}
