import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filo } from '../test/support/filo.ts'
import { requireProgram } from '../test/support/packages.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { until } from '../test/support/until.ts'
import { describeMachine, machineLine } from './machine.ts'
import { numbersOf, optionsOf, writeJson } from './options.ts'
import { spread, type Spread } from './spread.ts'

// What one host costs that has many services of one manager, daemontools: how many processes its agent starts to look at them, to stop
// all and to start all. `broker: local`, so that the agent is the command's own process.

/** Services of daemontools on this host, which go away with the benchmark. */
interface Services extends AsyncDisposable {
  /** What the fleet file says of each. */
  readonly declarations: readonly string[]
}

const verbs = ['status', 'stop', 'start'] as const

interface Row {
  readonly services: number
  readonly verb: (typeof verbs)[number]
  /** Processes of the agent, by the program that they ran. */
  readonly processes: Spread
  readonly programs: Readonly<Record<string, number>>
  readonly ms: Spread
}

export async function main(args: string[]): Promise<void> {
  const values = optionsOf(args, { services: '1,20,100', rounds: '5' })
  const rows: Row[] = []
  for (const count of numbersOf(values.services)) {
    await using services = await openDaemontools(count)
    for (const row of await measure(services, Number(values.rounds))) {
      rows.push(row)
      console.log(line(row))
    }
  }
  const machine = describeMachine({ daemontools: '0.76' })
  console.log(machineLine(machine))
  writeJson({ machine, rows }, values.json)
}

/** Four stages, each of which needs the one before. */
async function measure({ declarations }: Services, rounds: number): Promise<Row[]> {
  using dir = tempDir()
  const names = declarations.map((_, at) => `s${at}`)
  const perStage = Math.ceil(names.length / 4)
  const stages = ['one', 'two', 'three', 'four']
    .map((stage, at) => `  - ${stage}: [${names.slice(at * perStage, (at + 1) * perStage).join(', ')}]`)
    .filter((stage) => !stage.endsWith('[]'))
  const fleet = [
    'fleet: bench',
    'broker: local',
    'hosts: { here: }',
    'services:',
    ...names.map((name, at) => `  ${name}: { hosts: here, ${declarations[at]} }`),
    'stages:',
    ...stages,
  ]
  writeFileSync(join(dir.path, 'filo.yaml'), `${fleet.join('\n')}\n`)
  await run(dir.path, 'start')
  const runs: Record<(typeof verbs)[number], Run[]> = { status: [], stop: [], start: [] }
  for (let round = 0; round < rounds; round += 1) {
    for (const verb of verbs) runs[verb].push(await run(dir.path, verb))
  }
  return verbs.map((verb) => ({
    services: names.length,
    verb,
    processes: spread(runs[verb].map(({ programs }) => programs.length)),
    programs: countOf(runs[verb].at(-1)!.programs),
    ms: spread(runs[verb].map(({ ms }) => ms)),
  }))
}

interface Run {
  readonly ms: number
  /** The program of each process. */
  readonly programs: readonly string[]
}

async function run(dir: string, verb: (typeof verbs)[number]): Promise<Run> {
  const file = join(dir, 'processes')
  rmSync(file, { force: true })
  const counter = fileURLToPath(new URL('count-processes.ts', import.meta.url))
  const env = { NODE_OPTIONS: `--import=${counter}`, BENCH_PROCESSES: file }
  const began = performance.now()
  const { code, stderr } = await filo(verb === 'status' ? [verb] : [verb, '--yes'], { cwd: dir, env })
  const ms = performance.now() - began
  if (code !== 0) throw new Error(`filo ${verb} exited with ${code}:\n${stderr}`)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  // What acts waits behind a shell until it is noted: `/bin/sh -c … sh PROGRAM`.
  return { ms, programs: lines.map((each) => / sh (\S+)/.exec(each)?.[1] ?? each.split(' ')[0]!) }
}

function countOf(programs: readonly string[]): Record<string, number> {
  const groups = Object.entries(Object.groupBy(programs, (program) => program))
  return Object.fromEntries(groups.map(([program, all]) => [program, all!.length]))
}

async function openDaemontools(count: number): Promise<Services> {
  const supervise = await requireProgram('supervise', 'daemontools')
  const dir = tempDir()
  const services = Array.from({ length: count }, (_, at) => join(dir.path, `s${at}`))
  const children = services.map((service) => {
    mkdirSync(service)
    writeFileSync(join(service, 'down'), '')
    writeFileSync(join(service, 'run'), '#!/bin/sh\nexec sleep 100000\n')
    chmodSync(join(service, 'run'), 0o755)
    return spawn(supervise, [service], { stdio: 'ignore' })
  })
  await until('supervise to look after all of them', () =>
    services.every((service) => existsSync(join(service, 'supervise/status'))),
  )
  return {
    declarations: services.map((service) => `daemontools: ${service}`),
    async [Symbol.asyncDispose]() {
      const svc = await requireProgram('svc', 'daemontools')
      // Down, then out: supervise ends when its service has.
      spawn(svc, ['-dx', ...services], { stdio: 'ignore' })
      await until('supervise to end', () => children.every(({ exitCode }) => exitCode !== null))
      dir[Symbol.dispose]()
    },
  }
}

function line({ services, verb, processes, programs, ms }: Row): string {
  const words = Object.entries(programs)
    .map(([program, count]) => `${count} ${program}`)
    .join(', ')
  const range = ({ median, min, max }: Spread): string => `${median} (${min} to ${max})`
  return `${String(services).padStart(4)} ${verb.padEnd(7)} ${range(processes).padEnd(20)} processes: ${words.padEnd(24)} ${range(ms)} ms`
}
