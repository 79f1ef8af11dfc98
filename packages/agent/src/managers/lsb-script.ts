import { cut, type Live, type State } from '@filo/protocol'
import { describeExit, type Exit } from '../exec.ts'
import { firstLine } from '../printable.ts'
import type { Runner } from '../runner.ts'
import type { Act, Attempt, RootCommand, Sighting } from './manager.ts'

// Scripts that answer by the exit codes of LSB 5.0, "Init Script Actions":
// https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/iniscrptact.html

/** Below the time that an observation may take as a whole, so that one script that hangs is told by its name. */
const statusTimeoutMs = 8000
/** Status scripts that run side by side for one observation. */
export const statusesAtOnce = 8

interface StatusCode {
  readonly state: State
  readonly live: Live
  readonly words: string
}

/**
 * The table for `status`. Dead with a pid or lock file left over is not proof that nothing lives: 1 and 2 are
 * also what a script or a shell exits with when it breaks off, so whoever has other evidence must add it.
 */
function readStatusCode(code: number): StatusCode {
  if (code === 0) return { state: 'running', live: 'yes', words: 'running' }
  if (code === 1) return { state: 'failed', live: 'unknown', words: 'dead, but its pid file exists' }
  if (code === 2) return { state: 'failed', live: 'unknown', words: 'dead, but its lock file exists' }
  if (code === 3) return { state: 'stopped', live: 'no', words: 'stopped' }
  if (code === 4) return { state: 'unknown', live: 'unknown', words: 'the script does not know' }
  return { state: 'unknown', live: 'unknown', words: 'a status that LSB does not define' }
}

const verbCodes: Readonly<Record<number, string>> = {
  1: 'failed',
  2: 'invalid or excess arguments',
  3: 'the script does not know this action',
  4: 'insufficient privilege',
  5: 'the program is not installed',
  6: 'the program is not configured',
  7: 'the program is not running',
}

/** What a status script says. */
export async function seeByStatus(
  runner: Runner,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<Sighting> {
  const { exit, stdout, stderr } = await runner.look(argv, { signal, timeoutMs: statusTimeoutMs })
  if (exit.kind === 'exited') {
    const { state, live, words } = readStatusCode(exit.code)
    const said = firstLine(stdout) || firstLine(stderr)
    return { state, live, detail: cut(`status ${exit.code}: ${words}${said === '' ? '' : ` (${said})`}`) }
  }
  if (isMissing(exit)) return missing(argv[0]!, describeExit(exit))
  const detail =
    exit.kind === 'aborted' && !signal.aborted
      ? `${argv[0]} gave no status within ${statusTimeoutMs / 1000} s and was killed: run it by hand to see why`
      : `${argv[0]} gave no status: ${describeExit(exit)}`
  return { state: 'unknown', live: 'unknown', detail: cut(detail) }
}

/** A sighting of what is declared but not there: an error of the fleet file, proof of nothing. */
export function missing(what: string, why: string): Sighting {
  return { state: 'missing', live: 'unknown', detail: cut(`${what} is missing on this host: ${why}`) }
}

/** Runs a script's `start` or `stop`. */
export async function attemptByScript(
  runner: Runner,
  argv: readonly string[],
  verb: 'start' | 'stop',
  action: Act,
): Promise<Attempt> {
  const { exit, output } = await runner.act([...action.scope, ...argv], action)
  // LSB wants success from a stop of what is stopped, but many scripts say 7.
  const accepted = exit.kind === 'exited' && (exit.code === 0 || (verb === 'stop' && exit.code === 7))
  const words = exit.kind === 'exited' && exit.code !== 0 ? verbCodes[exit.code] : undefined
  const rest = output.droppedBytes > 0 ? `; more of what it printed is in ${action.outputFile}` : ''
  const detail = `${verb} by ${argv[0]}: ${describeExit(exit)}${words === undefined ? '' : ` (${words})`}${rest}`
  return { accepted, detail: cut(detail), output }
}

/** What scripts are run with by the functions above. */
export function scriptCommands({
  start,
  stop,
  status,
}: {
  readonly start: readonly string[]
  readonly stop: readonly string[]
  readonly status?: readonly string[] | undefined
}): RootCommand[] {
  return [
    { kind: 'script', verb: 'start', argv: start },
    { kind: 'script', verb: 'stop', argv: stop },
    ...(status === undefined ? [] : [{ kind: 'look', argv: status, timeoutMs: statusTimeoutMs } as const]),
  ]
}

/** The script or its interpreter is not there or may not be executed; anything else may pass. */
export function isMissing(exit: Exit): boolean {
  return exit.kind === 'not-started' && ['ENOENT', 'EACCES', 'ENOTDIR'].includes(exit.code)
}
