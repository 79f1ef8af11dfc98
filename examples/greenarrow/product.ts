import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/support/until.ts'
import { layOut } from '../walkthrough.ts'

// The stand-in for GreenArrow Engine: its two programs, and all of its components under a real svscan.

/** A GreenArrow Engine of one's own, with all of its components down. Disposing ends and removes all of it. */
export interface Greenarrow extends AsyncDisposable {
  readonly root: string
  /** The service directory of a component. */
  service(component: string): string
  /** What svstat says of a component. */
  svstat(component: string): string
  /** From now on the component finishes its work for so long after it was told to end. */
  slow(component: string, seconds: number): void
  /** What the processes themselves wrote down. */
  log(): string
}

const bounds = { timeoutMs: 20_000, intervalMs: 50 }

/** Throws where daemontools is not on this machine. */
export async function openGreenarrow(): Promise<Greenarrow> {
  requireDaemontools()
  const root = layOut('greenarrow', import.meta.dirname, ['hvmail', 'injector'])
  const directories = layOutComponents(root, root)
  const svscan = spawn('svscan', [join(root, 'service')], { stdio: 'ignore', detached: true })
  const supervised = (): boolean =>
    !svstat(directories).some((line) => line.includes('unable') || isAlone(line))
  await until('svscan to have begun', supervised, bounds)
  const service = (component: string): string => join(root, 'service', component)
  return {
    root,
    service,
    svstat: (component) => svstat([service(component)])[0]!,
    slow(component, seconds) {
      mkdirSync(join(root, 'hvmail/slow'), { recursive: true })
      writeFileSync(join(root, 'hvmail/slow', component), String(seconds))
    },
    log: () => readFileSync(join(root, 'services.log'), 'utf8'),
    [Symbol.asyncDispose]: () => close(root, svscan, directories),
  }
}

function requireDaemontools(): void {
  try {
    svstat([])
  } catch (error) {
    throw new Error('this example drives the real daemontools: apt-get install daemontools', { cause: error })
  }
}

/**
 * Makes the service directories of all components beside a copy of `hvmail`, and gives them. They are to be used where
 * they are then at the path `place`.
 */
export function layOutComponents(root: string, place: string): string[] {
  writeFileSync(join(root, 'services.log'), '')
  // As if PostgreSQL's manager had stopped them: its first start is the one that starts them.
  appendFileSync(join(root, 'hvmail/stopped-with-postgres'), 'hvmail-passenger hvmail-pure-authd-studio\n')
  return readComponents(root).flatMap((component) => layOutComponent(root, place, component))
}

interface Component {
  readonly name: string
  readonly hasLog: boolean
  readonly program: string
}

function readComponents(root: string): Component[] {
  return readFileSync(join(root, 'hvmail/components'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/ +/))
    .map(([name, , log, program]) => ({ name: name!, hasLog: log === 'log', program: program! }))
}

function layOutComponent(root: string, place: string, { name, hasLog, program }: Component): string[] {
  const directory = join(root, 'service', name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'down'), '')
  writeRun(directory, `exec ${join(place, 'hvmail/run', program)} ${name} ${place}`)
  if (!hasLog) return [directory]
  const log = join(directory, 'log')
  mkdirSync(log)
  writeRun(log, 'exec multilog t ./main')
  return [directory, log]
}

function writeRun(directory: string, line: string): void {
  writeFileSync(join(directory, 'run'), `#!/bin/sh\n${line}\n`, { mode: 0o755 })
}

function svstat(directories: readonly string[]): string[] {
  return execFileSync('svstat', directories, { encoding: 'utf8' }).split('\n').slice(0, -1)
}

/** Whether no supervise looks after that service any more. */
function isAlone(line: string): boolean {
  return line.endsWith(': supervise not running')
}

/** svscan first: it would start again what ends. */
async function close(root: string, svscan: ChildProcess, directories: readonly string[]): Promise<void> {
  execFileSync(join(root, 'injector/init.sh'), ['stop'])
  svscan.kill()
  await until('svscan to end', () => svscan.exitCode !== null || svscan.signalCode !== null, bounds)
  rmSync(join(root, 'hvmail/slow'), { recursive: true, force: true })
  execFileSync('svc', ['-dx', ...directories])
  await until('all components to end', () => svstat(directories).every(isAlone), bounds)
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
}
