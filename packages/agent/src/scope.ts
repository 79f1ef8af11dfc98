import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { firstLine } from './printable.ts'
import { describeExit, look } from './exec.ts'

// What a script of a service leaves running must not share the agent's fate. A session and a process group of its own
// keep signals to the agent away from it; but systemd ends units by their control groups, and those are left only with
// systemd's help: by a transient scope (systemd-run(1), org.freedesktop.systemd1(5)).
//
// systemd-run asks PID 1 for a scope with its own process in it, and then becomes the script: parent, process group,
// start time and exit status are those that exec.ts has noted. If there is no scope, it ends and nothing has run.

/** Gives what scripts start a control group of its own, where that can be. */
export interface Scopes {
  /** What to put before a script's argv; empty where scripts stay in the agent's own control group. */
  readonly argvFor: (service: string) => readonly string[]
  /** Why systemd, which is PID 1, gives none. */
  readonly why?: string
}

const program = 'systemd-run'
/** PID 1 answers within some milliseconds, or is not to be relied on. */
const trialTimeoutMs = 5000

/** Where nothing is acted on, or systemd is not PID 1. */
export const noScopes: Scopes = { argvFor: () => [] }

/**
 * Finds out, by trying, whether this process may have scopes. Only root may: to leave the agent's control group for one
 * of the system's needs its rights.
 */
export async function openScopes(): Promise<Scopes> {
  // sd_booted(3): how to tell whether systemd is PID 1.
  if (!existsSync('/run/systemd/system')) return noScopes
  if (process.geteuid?.() !== 0) return { ...noScopes, why: 'the agent is not root' }
  const { exit, stderr } = await look([...argvFor('trial'), 'true'], {
    signal: new AbortController().signal,
    timeoutMs: trialTimeoutMs,
  })
  if (exit.kind === 'exited' && exit.code === 0) return { argvFor }
  return { ...noScopes, why: `${program}: ${firstLine(stderr) || describeExit(exit)}` }
}

/** Each start has a scope of its own name: that of an earlier one lives for as long as anything that it left. */
function argvFor(service: string): string[] {
  const unit = `filo-${service}-${randomBytes(4).toString('hex')}.scope`
  const quietly = ['--quiet', '--no-ask-password', '--collect']
  return [program, '--scope', ...quietly, '--slice=system.slice', `--unit=${unit}`, '--']
}
