import { act, look, type Acted, type Exit, type Looked } from './exec.ts'
import type { Act } from './managers/manager.ts'

// How an agent runs what needs root: as it is where it is root itself, and else by sudo(8), whose rules name each command
// with all its arguments (sudoers.ts).
//
// What runs as root cannot be ended by an agent that is not. So each command that it runs by sudo has a bound that
// root itself keeps, by timeout(1): it ends the whole process group, also when the agent is gone.

interface LookBounds {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

/** Runs commands with the rights that they need. */
export interface Runner {
  /** A short command that only looks. */
  readonly look: (argv: readonly string[], bounds: LookBounds) => Promise<Looked>
  /** A request to a manager, which answers at once. */
  readonly request: (argv: readonly string[], action: Act) => Promise<Acted>
  /** A script with its `scope` before it, or the end of a boot. */
  readonly act: (argv: readonly string[], action: Act) => Promise<Acted>
  /** Whether only whole argvs that are known beforehand can be run. */
  readonly isBySudo: boolean
}

/** With the agent's own rights. */
export const direct: Runner = { look, request: act, act, isBySudo: false }

/** `sudo -n`: where a password would be asked for, it fails. */
export const bySudo: Runner = {
  async look(argv, bounds) {
    const looked = await look([...sudo, ...boundedLook(argv, bounds.timeoutMs)], bounds)
    return { ...looked, exit: notStarted(looked.exit, looked.stderr) ?? looked.exit }
  },
  request: (argv, action) => actBySudo(boundedRequest(argv), action),
  act: actBySudo,
  isBySudo: true,
}

const sudo = ['sudo', '-n', '--'] as const
/** systemctl and svc leave a wish and return. */
const requestTimeoutS = 30

export function boundedLook(argv: readonly string[], timeoutMs: number): string[] {
  return ['timeout', '--signal=KILL', String(Math.ceil(timeoutMs / 1000)), ...argv]
}

export function boundedRequest(argv: readonly string[]): string[] {
  return ['timeout', '--kill-after=1', String(requestTimeoutS), ...argv]
}

/** What to put before a script. A second later than the agent's own deadline, so that the agent is the one to tell of it. */
export function scriptBound(timeoutMs: number): string[] {
  return ['timeout', '--kill-after=1', String(Math.ceil(timeoutMs / 1000) + 1)]
}

async function actBySudo(argv: readonly string[], action: Act): Promise<Acted> {
  const acted = await act([...sudo, ...argv], action)
  return { ...acted, exit: notStarted(acted.exit, acted.output.head) ?? acted.exit }
}

/**
 * What sudo or timeout say instead of running a command. They do so by exit codes that a command may have as well: 1 of an
 * init script means that the service has died.
 */
function notStarted(exit: Exit, said: string): Exit | undefined {
  if (exit.kind !== 'exited') return undefined
  const [line = ''] = said.split('\n')
  if (exit.code === 1 && line.startsWith('sudo: ')) {
    const code = line.endsWith(': command not found') ? 'ENOENT' : 'EPERM'
    return {
      kind: 'not-started',
      code,
      error: `${line} (the rules for it: filo agent-config HOST --sudoers)`,
    }
  }
  if ((exit.code === 126 || exit.code === 127) && line.startsWith('timeout: failed to run command')) {
    return { kind: 'not-started', code: exit.code === 127 ? 'ENOENT' : 'EACCES', error: line }
  }
  return undefined
}
