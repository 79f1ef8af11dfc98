import { cut, type Ending, type HostVerb, type PowerDefinition } from '@filo/protocol'
import { Deadline } from './deadline.ts'
import { describeExit } from './exec.ts'
import type { ProcessGroup } from './managers/manager.ts'
import type { Audience, Stage } from './perform.ts'

// The reboot or halt of the host itself. What the command answers is not the proof: that the boot has ended is, and that
// is only seen from the next one, by another process. So an agent that carries the command out ends in the midst of it,
// and its successor finds the action open in the ledger, with the boot that it began in.

interface Task extends Audience {
  readonly verb: HostVerb
  readonly definition: PowerDefinition
  readonly outputFile: string
  /** An operator's abort; has the effect of the deadline. */
  readonly signal: AbortSignal
}

/**
 * Runs the command, and waits for the end of this boot, which ends this process. Gives an ending only where that does not
 * come about. The command stays in the agent's own control group: all of it ends together.
 */
export async function performPower({ clock, processes, redactor }: Stage, task: Task): Promise<Ending> {
  const startedAt = clock.now()
  using deadline = new Deadline(clock, startedAt, timeoutOf(task), task.signal)
  task.onPhase('acting')
  const argv = task.definition[task.verb]
  const { exit, output } = await processes.act(argv, {
    signal: deadline.signal,
    onLine: task.onLine,
    onProcess: task.onProcess,
    outputFile: task.outputFile,
    redactor,
    scope: [],
  })
  task.letGo.throwIfAborted()
  const ending = (outcome: Ending['outcome'], reason: string): Ending => ({
    outcome,
    reason: cut(reason),
    output,
    durationMs: clock.now() - startedAt,
  })
  const said = `${argv.join(' ')}: ${describeExit(exit)}`
  if (exit.kind === 'not-started' || (exit.kind === 'exited' && exit.code !== 0)) {
    return ending('failed', `${said}${adviceFor(task.verb)}`)
  }
  // A command that was killed may have been so by the shutdown that it asked for.
  if (exit.kind === 'exited') task.onPhase('waiting')
  await untilOver(clock, deadline.signal, task.letGo)
  if (task.signal.aborted) return ending('unproven', `${said}; ${cutShort}`)
  return ending('failed', `${said}, ${stillUp(task)}`)
}

/**
 * Finds out what became of a reboot or halt that an earlier agent process began.
 * @param elapsedMs since it began; Infinity when the host has booted since.
 */
export async function adoptPower(
  { clock, processes }: Stage,
  task: Task,
  group: ProcessGroup | undefined,
  elapsedMs: number,
): Promise<Ending> {
  const startedAt = clock.now()
  const ending = (outcome: Ending['outcome'], reason: string): Ending => ({
    outcome,
    reason: cut(reason),
    durationMs: Number.isFinite(elapsedMs) ? elapsedMs + clock.now() - startedAt : 0,
  })
  if (!Number.isFinite(elapsedMs)) return ending('changed', 'the host has booted since')
  // A group is noted as soon as there is one.
  if (group === undefined) {
    return ending('interrupted', `the agent was restarted before it could ${task.verb} the host`)
  }
  using deadline = new Deadline(clock, startedAt - elapsedMs, timeoutOf(task), task.signal)
  await untilOver(clock, deadline.signal, task.letGo)
  processes.killGroup(group, 'SIGTERM')
  if (task.signal.aborted) return ending('unproven', cutShort)
  return ending('failed', `the agent was restarted meanwhile; ${stillUp(task)}`)
}

async function untilOver(clock: Stage['clock'], over: AbortSignal, letGo: AbortSignal): Promise<void> {
  while (!over.aborted)
    await clock.sleep(1000, AbortSignal.any([over, letGo])).catch(() => letGo.throwIfAborted())
  letGo.throwIfAborted()
}

function timeoutOf({ verb, definition }: Task): number {
  return verb === 'reboot' ? definition.rebootTimeoutMs : definition.haltTimeoutMs
}

const cutShort = 'the waiting for it was cut short; the host may yet go down'

function stillUp({ verb, ...task }: Task): string {
  const seconds = Math.round(timeoutOf({ verb, ...task }) / 1000)
  return `but after ${seconds} s the host is still up, in the same boot. See there: systemctl list-jobs; systemd-inhibit --list`
}

function adviceFor(verb: HostVerb): string {
  if (process.getuid?.() === 0) return ''
  return (
    `. The agent does not run as root. Let it, or have it ${verb} the host by sudo: agent_user in the fleet file, and the ` +
    'rules of filo agent-config HOST --sudoers'
  )
}
