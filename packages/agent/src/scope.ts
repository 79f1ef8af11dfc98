import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { firstLine } from './printable.ts'
import { scriptBound, type Runner } from './runner.ts'
import { describeExit } from './exec.ts'

// What a script of a service leaves running must not share the agent's fate. A session and a process group of its own
// keep signals to the agent away from it; but systemd ends units by their control groups, and those are left only with
// systemd's help: by a transient scope (systemd-run(1), org.freedesktop.systemd1(5)).
//
// systemd-run asks PID 1 for a scope with its own process in it, and then becomes the script: parent, process group,
// start time and exit status are those that exec.ts has noted. If there is no scope, it ends and nothing has run.

/** What goes before a script's argv: a control group of its own, where that can be, and by sudo a bound. */
export interface Scopes {
  /** @param timeoutMs how long the script may take */
  readonly argvFor: (service: string, timeoutMs: number) => readonly string[]
  /** Whether scripts have control groups of their own. */
  readonly isScoped: boolean
  /** Why systemd, which is PID 1, gives none. */
  readonly why?: string
}

const program = 'systemd-run'
/** PID 1 answers within some milliseconds, or is not to be relied on. */
const trialTimeoutMs = 5000
const trialName = 'trial'

/** sd_booted(3): how to tell whether systemd is PID 1. */
export function isSystemd(): boolean {
  return existsSync('/run/systemd/system')
}

/** Where nothing is acted on. */
export const noScopes: Scopes = { argvFor: () => [], isScoped: false }

/**
 * Finds out, by trying, whether scripts may have scopes. Only root may give them: to leave the agent's control group for one
 * of the system's needs its rights.
 */
export async function openScopes(runner: Runner): Promise<Scopes> {
  const { isBySudo } = runner
  const without: Scopes = {
    argvFor: (_, timeoutMs) => (isBySudo ? scriptBound(timeoutMs) : []),
    isScoped: false,
  }
  if (!isSystemd()) return without
  if (!isBySudo && process.geteuid?.() !== 0) return { ...without, why: 'the agent is not root' }
  const trial = isBySudo
    ? scopeTrial
    : { argv: [...namedScope(trialName), 'true'], timeoutMs: trialTimeoutMs }
  const { exit, stderr } = await runner.look(trial.argv, {
    signal: new AbortController().signal,
    timeoutMs: trial.timeoutMs,
  })
  if (exit.kind === 'exited' && exit.code === 0) {
    return { argvFor: isBySudo ? scopeBySudo : namedScope, isScoped: true }
  }
  return { ...without, why: `${program}: ${firstLine(stderr) || describeExit(exit)}` }
}

/** What an agent that works by sudo asks for to see whether it is given scopes. */
export const scopeTrial = {
  kind: 'look',
  argv: [...unnamedScope(trialName), 'true'],
  timeoutMs: trialTimeoutMs,
} as const

/** Each start has a scope of its own name: that of an earlier one lives for as long as anything that it left. */
function namedScope(service: string): string[] {
  return scope(`--unit=filo-${service}-${randomBytes(4).toString('hex')}.scope`)
}

/** sudo's rules say each argument as it is, so here systemd finds the name (`run-….scope`), and the service is its description. */
function unnamedScope(service: string): string[] {
  return scope(`--description=filo-${service}`)
}

export function scopeBySudo(service: string, timeoutMs: number): string[] {
  return [...unnamedScope(service), ...scriptBound(timeoutMs)]
}

function scope(named: string): string[] {
  const quietly = ['--quiet', '--no-ask-password', '--collect']
  return [program, '--scope', ...quietly, '--slice=system.slice', named, '--']
}
