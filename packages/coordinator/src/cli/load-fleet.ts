import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { mapFiles } from '@filo/protocol'
import { openStateDir, type StateDir } from '../engine/state-dir.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { parseFleet } from '../fleet/parse-fleet.ts'
import { formatProblem } from '../fleet/problem.ts'
import { buildTopology, type Topology } from '../fleet/topology.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes } from './exit-code.ts'

/** A fleet as its file declares it, and where the coordinator keeps what it knows of it. */
export interface LoadedFleet {
  /** The file's path, as short as it can be said from here. */
  readonly file: string
  readonly fleet: Fleet
  readonly topology: Topology
  readonly dir: StateDir
}

const usualName = 'filo.yaml'

/** The fleet file's path and text: `--file`, FILO_FILE, or `filo.yaml` here or above. Throws Exit. */
export function readFleetFile(context: Context): { readonly file: string; readonly text: string } {
  const file = resolve(context.cwd, context.file ?? findAbove(context.cwd))
  const shown = relative(context.cwd, file)
  try {
    return { file: shown.startsWith('../..') ? file : shown, text: readFileSync(file, 'utf8') }
  } catch (error) {
    throw new Exit(
      exitCodes.configuration,
      `the fleet file cannot be read: ${(error as Error).message}; name another with --file or FILO_FILE`,
    )
  }
}

function findAbove(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, usualName)
    if (existsSync(file)) return file
    if (folder === dirname(folder)) {
      throw new Exit(
        exitCodes.configuration,
        `there is no ${usualName} in ${start} or above it; name one with --file or FILO_FILE, ` +
          'or begin one with: filo init',
      )
    }
  }
}

/** Reads the fleet and makes its state directory. Throws Exit with all that is wrong with the file. */
export function loadFleet(context: Context): LoadedFleet {
  const { file, text } = readFleetFile(context)
  const parsed = parseFleet(text, file)
  if (parsed.kind === 'refused') {
    throw new Exit(exitCodes.refused, parsed.problems.map(formatProblem).join('\n'))
  }
  const fleet = withFilesBeside(resolve(context.cwd, file), parsed.fleet)
  return { file, fleet, topology: buildTopology(fleet), dir: stateDirOf(context, fleet.name) }
}

/** Where the files of TLS are that this process uses. */
function withFilesBeside(file: string, fleet: Fleet): Fleet {
  if (fleet.broker === 'local' || fleet.broker.tls === undefined) return fleet
  const tls = mapFiles(fleet.broker.tls, (path) => resolve(dirname(file), path))
  return { ...fleet, broker: { ...fleet.broker, tls } }
}

function stateDirOf(context: Context, fleet: string): StateDir {
  try {
    return openStateDir(fleet, context.state, context.environment)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isForbidden = code === 'EACCES' || code === 'EPERM'
    throw new Exit(
      isForbidden ? exitCodes.notPermitted : exitCodes.configuration,
      `the state directory cannot be used: ${message}; name another with --state or FILO_STATE`,
    )
  }
}
