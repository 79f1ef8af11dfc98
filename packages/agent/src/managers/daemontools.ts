import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { cut, type DaemontoolsDefinition, type ProcessRef } from '@filo/protocol'
import { describeExit } from '../exec.ts'
import { firstLine } from '../printable.ts'
import { ageMs, processesNamed, processRef, readStat } from '../process-table.ts'
import { direct, type Runner } from '../runner.ts'
import { askerBy, svstatOf } from './ask-svstat.ts'
import type { Act, Attempt, Manager, RootCommand, Sighting } from './manager.ts'
import { judgeLine, type Sighted, type SvstatLine } from './svstat.ts'

// daemontools (https://cr.yp.to/daemontools.html): services that supervise keeps running. svc only leaves a wish with
// supervise and returns, so that its answer is worth nothing; svstat tells what became of it.

export class Daemontools implements Manager<DaemontoolsDefinition> {
  readonly kind = 'daemontools'
  readonly #runner: Runner
  readonly #askSvstat: ReturnType<typeof askerBy>

  constructor(runner = direct) {
    this.#runner = runner
    this.#askSvstat = askerBy('svstat', runner)
  }

  async observe(definitions: readonly DaemontoolsDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    const services = definitions.map(({ service }) => service)
    const answers = await this.#askSvstat(services, signal)
    const isLine = (answer: SvstatLine | Sighting): answer is SvstatLine => 'supervised' in answer
    return answers.map((answer, at) => (isLine(answer) ? see(services[at]!, answer) : answer))
  }

  start({ service }: DaemontoolsDefinition, action: Act): Promise<Attempt> {
    return this.#control('-u', 'start', service, action)
  }

  // A service that is paused gets a CONT too (svc(8)), so that it can obey.
  stop({ service }: DaemontoolsDefinition, action: Act): Promise<Attempt> {
    return this.#control('-d', 'stop', service, action)
  }

  rootCommands({ service }: DaemontoolsDefinition): readonly RootCommand[] {
    return [
      { kind: 'request', argv: ['svc', '-u', service] },
      { kind: 'request', argv: ['svc', '-d', service] },
      svstatOf(service),
    ]
  }

  /** Whether `pid` is the service's process or one below it. */
  async contains({ service }: DaemontoolsDefinition, pid: number, signal: AbortSignal): Promise<boolean> {
    const [answer] = await this.#askSvstat([service], signal)
    const supervised = answer !== undefined && 'supervised' in answer ? answer.supervised : undefined
    if (supervised?.kind !== 'up') return false
    for (let at = readStat(pid); at !== undefined; at = readStat(at.ppid))
      if (at.pid === supervised.pid) return true
    return false
  }

  /** svc exits 0 whatever happens: what it could not do stands in a warning. */
  async #control(
    option: '-u' | '-d',
    verb: 'start' | 'stop',
    service: string,
    action: Act,
  ): Promise<Attempt> {
    const { exit, output } = await this.#runner.request(['svc', option, service], action)
    const warning = /^svc: (?:warning|fatal): .*$/m.exec(output.head)?.[0]
    const accepted = exit.kind === 'exited' && exit.code === 0 && warning === undefined
    const detail = `${verb} by svc ${option} ${service}: ${warning ?? describeExit(exit)}`
    return { accepted, detail: cut(firstLine(detail)), output }
  }
}

function see(service: string, line: SvstatLine): Sighting {
  const { supervised } = line
  if (supervised.kind === 'unsupervised') return seeUnsupervised(service, line.words)
  return judgeLine(line, supervised.kind === 'up' ? sight(supervised.pid) : undefined)
}

function sight(pid: number): Sighted | undefined {
  const stat = readStat(pid)
  return stat === undefined || stat.zombie ? undefined : { ref: processRef(stat), ageMs: ageMs(stat) }
}

/**
 * Without supervise a service is stopped only if its last process is gone and nobody revives it. supervise may have
 * been killed and its service have outlived it; and svscan starts a supervise that ended again within five seconds.
 */
function seeUnsupervised(service: string, words: string): Sighting {
  const unknown = (why: string, processes: readonly ProcessRef[]): Sighting => ({
    state: 'unknown',
    live: 'unknown',
    detail: cut(`${words}, ${why}`),
    processes,
  })
  const svscans = processesNamed(new Set(['svscan'])).filter(({ pid }) => mayScan(pid, service))
  if (svscans.length > 0) return unknown('but svscan looks after it and may start it at any moment', svscans)
  const pid = lastPid(service)
  if (pid === undefined) return unknown('and its last process is not on record: look whether it runs', [])
  const left = sight(pid)
  if (left !== undefined) return unknown(`and its last process may be alive: look, and end it`, [left.ref])
  return { state: 'stopped', live: 'no', detail: cut(`${words}, nor is svscan; its last process has ended`) }
}

/** Whether that svscan has the service in its directory, which is its working directory; true where that is hidden. */
function mayScan(svscan: number, service: string): boolean {
  try {
    const directory = readlinkSync(`/proc/${svscan}/cwd`)
    const sought = realpathSync(service)
    return readdirSync(directory).some((entry) => resolveLink(join(directory, entry)) === sought)
  } catch {
    return true
  }
}

function resolveLink(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** The process that supervise last had, by the file it leaves: 0 for none; undefined where the file cannot be read. */
function lastPid(service: string): number | undefined {
  try {
    // Twelve bytes of time (libtai, TAI64N), then the pid, little-endian (supervise.c, pidchange).
    const status = readFileSync(join(service, 'supervise/status'))
    return status.length === 18 ? status.readUInt32LE(12) : undefined
  } catch (error) {
    // Where supervise never ran, nothing ever did.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 0 : undefined
  }
}
