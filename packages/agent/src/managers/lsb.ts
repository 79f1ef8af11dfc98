import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cut, limits, type LsbDefinition } from '@filo/protocol'
import { processesNamed } from '../process-group.ts'
import { mapBounded } from './bounded.ts'
import { attemptByScript, missing, seeByStatus, statusesAtOnce } from './lsb-script.ts'
import type { Manager, Sighting } from './manager.ts'

export const lsb: Manager<LsbDefinition> = {
  kind: 'lsb',
  observe: (definitions, signal) =>
    mapBounded(definitions, statusesAtOnce, (definition) => see(definition, signal)),
  start: (definition, action) => attemptByScript(commandLine(definition, 'start'), 'start', action),
  stop: (definition, action) => attemptByScript(commandLine(definition, 'stop'), 'stop', action),
}

type Verb = 'status' | 'start' | 'stop'

/**
 * The script itself: it works in any directory and without root, and exec.ts gives it the clean environment that
 * service(8) would. Only where systemd is PID 1 do the scripts of /etc/init.d go through `service`: there they are
 * units that systemd makes of them, and what a script starts by itself would live in the agent's cgroup, unseen
 * by the unit.
 */
export function commandLine(
  { name, dir }: LsbDefinition,
  verb: Verb,
  // sd_booted(3): how to tell whether systemd is PID 1.
  systemdBooted = existsSync('/run/systemd/system'),
): string[] {
  if (systemdBooted && dir === '/etc/init.d') return ['/usr/sbin/service', name, verb]
  return [join(dir, name), verb]
}

async function see(definition: LsbDefinition, signal: AbortSignal): Promise<Sighting> {
  const script = join(definition.dir, definition.name)
  try {
    accessSync(script, constants.X_OK)
  } catch (error) {
    return missing(script, (error as NodeJS.ErrnoException).code ?? 'not executable')
  }
  const sighting = await seeByStatus(commandLine(definition, 'status'), signal)
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
  const text = readFileSync(script, 'utf8')
  const declared = text.matchAll(
    /^\s*(?:DAEMON|PROG|PROGRAM|EXEC|prog|exec)=["']?([\w./+-]+)["']?\s*(?:#.*)?$/gm,
  )
  return new Set([basename(script), ...[...declared].map(([, path]) => basename(path!))])
}
