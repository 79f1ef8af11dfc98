import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openProduct } from '../test/support/product.ts'
import { programs } from '../test/support/programs.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { describeMachine, machineLine } from './machine.ts'
import { optionsOf, writeJson } from './options.ts'
import { spread, type Spread } from './spread.ts'

// What the shortest commands cost, as they are built for hosts: what Node and the program take before they do anything,
// and the reading of a fleet file.

interface Row {
  readonly command: string
  /** User and system time of the command and the shell that starts it. */
  readonly cpuMs: Spread
  readonly wallMs: Spread
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { rounds: '15' })
  using product = await openProduct()
  const { filo } = programs()
  using dir = tempDir()
  const files = [40, 1000].map((services) => {
    const file = join(dir.path, `${services}.yaml`)
    writeFileSync(file, fleetOf(services))
    return { services, file }
  })
  const commands: [string, string[]][] = [
    ['node, an empty program', [join(product.path, 'node_modules/.bin/node'), '--eval', '0']],
    ['filo --version', [filo, '--version']],
    ['filo --help', [filo, '--help']],
    ...files.map(({ services, file }): [string, string[]] => [
      `filo validate, ${services} services`,
      [filo, 'validate', '--file', file],
    ]),
  ]
  const rows: Row[] = []
  for (const [command, argv] of commands) {
    // The first makes the place for what is compiled, the second keeps it there for all others.
    for (let times = 0; times < 2; times += 1) run(argv)
    const runs = Array.from({ length: Number(values.rounds) }, () => run(argv))
    const row = {
      command,
      cpuMs: spread(runs.map(({ cpuMs }) => cpuMs)),
      wallMs: spread(runs.map(({ wallMs }) => wallMs)),
    }
    rows.push(row)
    console.log(line(row))
  }
  const machine = describeMachine()
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

/** Services on a tenth as many hosts, in layers, each with the options that services usually have. */
function fleetOf(services: number): string {
  const hosts = Array.from(
    { length: Math.ceil(services / 10) },
    (_, at) => `  host${at}: { labels: { rack: r${at % 7} } }`,
  )
  const all = Array.from({ length: services }, (_, at) => {
    const needs = [at - 40, at - 33].filter((need) => need >= 0).map((need) => `service${need}`)
    return [
      `  service${at}:`,
      `    hosts: host${at % hosts.length}`,
      `    systemd: service${at}.service`,
      `    ready: { tcp: '127.0.0.1:${1024 + at}' }`,
      '    stop_timeout: 3m',
      ...(needs.length > 0 ? [`    needs: [${needs.join(', ')}]`] : []),
    ].join('\n')
  })
  return ['fleet: bench', 'broker: local', 'hosts:', ...hosts, 'services:', ...all, ''].join('\n')
}

/** Timed by bash(1), which knows the processor time of its children by the microsecond. */
function run(argv: readonly string[]): { cpuMs: number; wallMs: number } {
  const script = 'TIMEFORMAT="%U %S %R"; time "$@" >/dev/null'
  const { status, stderr } = spawnSync('bash', ['-c', script, 'bash', ...argv], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${argv.join(' ')} exited with ${status}:\n${stderr}`)
  const [user, system, wall] = stderr.trim().split('\n').at(-1)!.split(' ').map(Number) as [
    number,
    number,
    number,
  ]
  return { cpuMs: (user + system) * 1000, wallMs: wall * 1000 }
}

function line({ command, cpuMs, wallMs }: Row): string {
  const range = ({ median, min, max }: Spread): string => `${median} (${min} to ${max}) ms`
  return `${command.padEnd(30)} processor ${range(cpuMs).padEnd(26)} wall ${range(wallMs)}`
}
