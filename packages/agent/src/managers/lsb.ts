import { accessSync, closeSync, constants, openSync, readSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { cut, limits, type LsbDefinition, type SystemdDefinition } from '@filo/protocol'
import { processesNamed } from '../process-table.ts'
import { direct, type Runner } from '../runner.ts'
import { mapBounded } from './bounded.ts'
import { attemptByScript, missing, scriptCommands, seeByStatus, statusesAtOnce } from './lsb-script.ts'
import type { Act, Attempt, Manager, RootCommand, Sighting } from './manager.ts'

/** Where systemd looks for init scripts to make units of (systemd-sysv-generator(8)). */
const sysvDirs = ['/etc/init.d', '/etc/rc.d/init.d']

/**
 * Init scripts, called as they are: that works in any directory and without root, and exec.ts gives them the clean
 * environment that service(8) would.
 *
 * Where systemd is PID 1, those of /etc/init.d are units of the same name to it, and it is asked in their place. A
 * script called directly would start its daemon in the agent's control group, unseen by the unit; and service(8) answers
 * there with the status of systemctl, which is 3, "stopped", also while a unit is being stopped or started again.
 */
export class Lsb implements Manager<LsbDefinition> {
  readonly kind = 'lsb'
  readonly #runner: Runner
  readonly #systemd: Manager<SystemdDefinition> | undefined

  /** @param systemd where it is PID 1. */
  constructor(systemd?: Manager<SystemdDefinition>, runner = direct) {
    this.#runner = runner
    this.#systemd = systemd
  }

  async observe(definitions: readonly LsbDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    const units = definitions.map((definition) => this.#unitOf(definition))
    const [byUnit, byScript] = await Promise.all([
      this.#systemd?.observe(
        units.filter((unit) => unit !== undefined),
        signal,
      ),
      mapBounded(
        definitions.filter((_, at) => units[at] === undefined),
        statusesAtOnce,
        (definition) => see(this.#runner, definition, signal),
      ),
    ])
    return units.map((unit) => (unit === undefined ? byScript.shift()! : byUnit!.shift()!))
  }

  start(definition: LsbDefinition, action: Act): Promise<Attempt> {
    const unit = this.#unitOf(definition)
    if (unit !== undefined) return this.#systemd!.start(unit, action)
    return attemptByScript(this.#runner, [scriptOf(definition), 'start'], 'start', action)
  }

  stop(definition: LsbDefinition, action: Act): Promise<Attempt> {
    const unit = this.#unitOf(definition)
    if (unit !== undefined) return this.#systemd!.stop(unit, action)
    return attemptByScript(this.#runner, [scriptOf(definition), 'stop'], 'stop', action)
  }

  async contains(definition: LsbDefinition, pid: number, signal: AbortSignal): Promise<boolean> {
    const unit = this.#unitOf(definition)
    return unit !== undefined && (await this.#systemd!.contains!(unit, pid, signal))
  }

  rootCommands(definition: LsbDefinition): readonly RootCommand[] {
    const unit = this.#unitOf(definition)
    if (unit !== undefined) return this.#systemd!.rootCommands(unit)
    const script = scriptOf(definition)
    return scriptCommands({ start: [script, 'start'], stop: [script, 'stop'], status: [script, 'status'] })
  }

  #unitOf({ name, dir }: LsbDefinition): SystemdDefinition | undefined {
    const isUnit = this.#systemd !== undefined && sysvDirs.includes(resolve(dir))
    return isUnit ? { kind: 'systemd', unit: `${name}.service` } : undefined
  }
}

function scriptOf({ name, dir }: LsbDefinition): string {
  return join(dir, name)
}

async function see(runner: Runner, definition: LsbDefinition, signal: AbortSignal): Promise<Sighting> {
  const script = scriptOf(definition)
  try {
    accessSync(script, constants.X_OK)
  } catch (error) {
    return missing(script, (error as NodeJS.ErrnoException).code ?? 'not executable')
  }
  const sighting = await seeByStatus(runner, [script, 'status'], signal)
  return sighting.state === 'failed' ? lookForProcesses(sighting, script) : sighting
}

/** The script says that the program died and left its pid or lock file: only a look at the processes proves it. */
function lookForProcesses(sighting: Sighting, script: string): Sighting {
  const names = programNames(script)
  const processes = processesNamed(names).slice(0, limits.processesNamed)
  const sought = [...names].join(', ')
  if (processes.length === 0) {
    return { ...sighting, live: 'no', detail: cut(`${sighting.detail}; no process named ${sought}`) }
  }
  const detail = `${sighting.detail}; but processes named ${sought} run: are they of this service?`
  return { ...sighting, live: 'unknown', detail: cut(detail), processes }
}

/** What the program of a script may be called: as the script, or as the script's own variables say. */
function programNames(script: string): ReadonlySet<string> {
  const declared = readBeginning(script).matchAll(
    /^[ \t]*(?:DAEMON|PROG|PROGRAM|EXEC|prog|exec)=["']?([\w./+-]+)["']?[ \t]*(?:#.*)?$/gm,
  )
  return new Set([basename(script), ...[...declared].map(([, path]) => basename(path!))])
}

/** Enough for any script; what stands there may be a program of many megabytes, or not be readable. */
function readBeginning(path: string): string {
  try {
    const file = openSync(path, 'r')
    try {
      const buffer = Buffer.alloc(64 * 1024)
      return buffer.toString('utf8', 0, readSync(file, buffer))
    } finally {
      closeSync(file)
    }
  } catch {
    return ''
  }
}
