import {
  cut,
  judge,
  type Clock,
  type Ending,
  type Goal,
  type HookDefinition,
  type Observation,
  type Outcome,
  type Output,
  type Redactor,
  type ServiceDefinition,
} from '@filo/protocol'
import { Deadline } from './deadline.ts'
import { describeExit, type Acted, type Looked } from './exec.ts'
import type { Act, Attempt, Manager, ProcessGroup } from './managers/manager.ts'
import { isSame, lookTimeoutMs, type Managers, type Observer } from './observer.ts'

// Observe, act, prove. What a manager or a script answers is never the proof: the state is, seen after the action
// and held for the service's settle time.
//
// A deadline ends the waiting, kills the process group, and observes. It never means "stopped" and never "failed":
// while something of the action lives or the service is still on its way, the ending is `overdue`, and the watching
// goes on until there is a last word.

/** What an action needs of the host beside the managers. */
export interface Processes {
  act(argv: readonly string[], act: Act): Promise<Acted>
  look(argv: readonly string[], bounds: { signal: AbortSignal; timeoutMs: number }): Promise<Looked>
  isGroupAlive(group: ProcessGroup): boolean
  /** Whether the process that began the group still runs, as a script does that has not returned. */
  isLeaderAlive(group: ProcessGroup): boolean
  killGroup(group: ProcessGroup, signal: NodeJS.Signals): boolean
  /** What to put before the argv of a service's script that may take so long: see scope.ts. */
  scopeFor(service: string, timeoutMs: number): readonly string[]
}

export interface Stage {
  readonly clock: Clock
  readonly observer: Observer
  readonly managers: Managers
  readonly processes: Processes
  /** Washes secrets out of what services print. */
  readonly redactor: Redactor
}

/** What the one who asked for an action hears of it before its ending. */
export interface Audience {
  readonly onLine: (line: string) => void
  readonly onProcess: (group: ProcessGroup) => void
  readonly onPhase: (phase: 'acting' | 'waiting' | 'settling' | 'overdue') => void
  /** Its time is up and it is not over: an ending will follow, some time. */
  readonly onOverdue: (ending: Ending) => void
  /**
   * Aborted when this agent process ends: from then on nothing is begun, waited for or ended for the action, and what
   * is asked to carry it out throws. Its successor finds out.
   */
  readonly letGo: AbortSignal
}

interface Task extends Audience {
  readonly definition: ServiceDefinition
  readonly verb: 'start' | 'stop'
  readonly outputFile: string
  /** It is a start, and carried out even if the service runs: see `owesStart` of its manager. */
  readonly isOwed: boolean
  /** An operator's abort; has the effect of the deadline. */
  readonly signal: AbortSignal
}

const firstPollMs = 10
const longestPollMs = 1000
const overduePollMs = 2000
/** Processes that a sentence names; the observation has more. */
const holdersNamed = 3
/** How long `failed` must be seen before the deadline is not waited for: pid files and status answers lag. */
const failedForMs = 1000

/** Carries out one action to its last word. Throws only for bugs: what the host does is in the ending. */
export async function perform(stage: Stage, task: Task): Promise<Ending> {
  const startedAt = stage.clock.now()
  const watch = new Watch(stage, task)
  const before = await watch.look()
  if (before.state === 'missing') return watch.end('failed', before.detail)
  using deadline = new Deadline(stage.clock, startedAt, timeoutOf(task), task.signal)
  if (!task.isOwed && (await watch.staysThere(before))) return watch.end('unchanged', before.detail)
  task.letGo.throwIfAborted()
  task.onPhase('acting')
  const attempt = await request(stage, task, watch, deadline.signal)
  watch.attempt = attempt
  if (isBlind(task.definition)) return watch.end(attempt.accepted ? 'unproven' : 'failed', attempt.detail)
  const ending = await watch.untilProven(deadline)
  // That the service runs says nothing of what else an owed start had to resume: only the manager's yes does.
  return task.isOwed && !attempt.accepted && ending.outcome === 'changed'
    ? { ...ending, outcome: 'failed' }
    : ending
}

/**
 * Finds out what became of an action that this agent's predecessor left behind, once nothing of it runs any more.
 * @param elapsedMs since the action began; Infinity when the host has booted since.
 */
export async function adopt(
  stage: Stage,
  task: Task,
  group: ProcessGroup | undefined,
  elapsedMs: number,
): Promise<Ending> {
  const watch = new Watch(stage, task, group)
  using deadline = new Deadline(stage.clock, stage.clock.now() - elapsedMs, timeoutOf(task), task.signal)
  await awaitGroup(stage, task.verb, group, deadline, task.letGo)
  const ending = await watch.untilProven(deadline, 'interrupted')
  const reason = `the agent was restarted meanwhile; ${ending.reason}`
  if (!task.isOwed || ending.outcome !== 'changed') return { ...ending, reason: cut(reason) }
  const doubt = 'whether its start has resumed all that its stop had stopped is not known: start it again'
  return { ...ending, outcome: 'interrupted', reason: cut(`${reason}; ${doubt}`) }
}

/** Runs a hook to its end. */
export async function performHook(
  { clock, processes, redactor }: Stage,
  hook: HookDefinition,
  task: Omit<Task, 'definition' | 'verb' | 'isOwed'>,
): Promise<Ending> {
  const startedAt = clock.now()
  using deadline = new Deadline(clock, startedAt, hook.timeoutMs, task.signal)
  let group: ProcessGroup | undefined
  task.onPhase('acting')
  const scope = processes.scopeFor(hook.service, hook.timeoutMs)
  const acted = await processes.act([...scope, ...hook.run], {
    signal: deadline.signal,
    onLine: task.onLine,
    onProcess: (noted) => {
      group = noted
      task.onProcess(noted)
    },
    outputFile: task.outputFile,
    redactor,
    scope,
  })
  const { exit, output } = acted
  const succeeded = exit.kind === 'exited' && exit.code === 0
  const survived = exit.kind === 'aborted' && exit.survived
  const ending = (outcome: Outcome): Ending => ({
    outcome,
    reason: cut(`${hook.run[0]}: ${describeExit(exit)}`),
    output,
    durationMs: clock.now() - startedAt,
  })
  if (!survived) return ending(succeeded ? 'changed' : 'failed')
  task.onPhase('overdue')
  task.onOverdue(ending('overdue'))
  while (processes.isGroupAlive(group!)) await clock.sleep(overduePollMs, task.letGo)
  return ending('unproven')
}

/** Whether an interrupted hook did its work: only its `check` can say. */
export async function adoptHook(
  stage: Stage,
  hook: HookDefinition,
  task: Pick<Task, 'signal' | 'letGo'>,
  group: ProcessGroup | undefined,
  elapsedMs: number,
): Promise<Ending> {
  const { signal } = task
  const startedAt = stage.clock.now()
  using deadline = new Deadline(stage.clock, startedAt - elapsedMs, hook.timeoutMs, signal)
  await awaitGroup(stage, 'stop', group, deadline, task.letGo)
  const checked = hook.check && (await stage.processes.look(hook.check, { signal, timeoutMs: lookTimeoutMs }))
  const durationMs = stage.clock.now() - startedAt
  if (checked === undefined) {
    return {
      outcome: 'unproven',
      reason: 'the agent was restarted while the hook ran, and it has no check',
      durationMs,
    }
  }
  const passed = checked.exit.kind === 'exited' && checked.exit.code === 0
  const reason = cut(`the agent was restarted while the hook ran; its check: ${describeExit(checked.exit)}`)
  return { outcome: passed ? 'changed' : 'interrupted', reason, durationMs }
}

/** One action's instance, looked at again and again. */
class Watch {
  readonly goal: Goal
  attempt: Attempt | undefined
  readonly #stage: Stage
  readonly #task: Task
  readonly #startedAt: number
  #group: ProcessGroup | undefined
  #latest: Observation | undefined
  #sameSince = 0

  constructor(stage: Stage, task: Task, group?: ProcessGroup) {
    this.#stage = stage
    this.#task = task
    this.#group = group
    this.#startedAt = stage.clock.now()
    this.goal = task.verb === 'start' ? 'running' : 'stopped'
  }

  noteGroup(group: ProcessGroup): void {
    this.#group = group
  }

  /** Looks once; the state has held since this watch first saw it, or for as long as the manager says. */
  async look(): Promise<Observation> {
    const { clock, observer } = this.#stage
    const { definition } = this.#task
    const askedAt = clock.now()
    const [seen] = await observer.look([definition])
    const isAnother =
      this.#latest === undefined ||
      !isSame(this.#latest, seen!) ||
      observer.hasSeenOtherwise(definition.service, seen!, this.#sameSince)
    // The first sight may be as young as its answer, the next as old as its question.
    if (isAnother) this.#sameSince = clock.now()
    this.#latest = { ...seen!, heldMs: Math.max(seen!.heldMs, askedAt - this.#sameSince) }
    return this.#latest
  }

  /** Whether what was seen is the goal already, and stays so for the settle time. */
  async staysThere(seen: Observation): Promise<boolean> {
    let latest = seen
    while (judge(latest, this.goal, 0) === 'proves') {
      const settleLeftMs = this.#task.definition.settleMs - latest.heldMs
      if (settleLeftMs <= 0) return true
      this.#task.onPhase('settling')
      await this.#stage.clock.sleep(settleLeftMs, this.#task.letGo)
      latest = await this.look()
    }
    return false
  }

  /** Looks until the goal is proven, or can no longer be reached, or time is up and nothing is under way. */
  async untilProven(deadline: Deadline, missed: 'failed' | 'interrupted' = 'failed'): Promise<Ending> {
    let pollMs = firstPollMs
    let saidOverdue = false
    for (;;) {
      const seen = await this.look()
      const verdict = judge(seen, this.goal, this.#task.definition.settleMs)
      if (verdict === 'proves') return this.end('changed', seen.detail)
      const isUnderWay = this.#isUnderWay(seen)
      const timeIsUp = deadline.signal.aborted
      if (!isUnderWay && (timeIsUp || missed === 'interrupted' || this.#isHopeless(seen))) {
        // A state that is right but has not settled is waited for even now: it takes no longer than `settle`.
        if (judge(seen, this.goal, 0) !== 'proves') return this.#conclude(seen, missed, deadline)
      }
      if (timeIsUp && isUnderWay && !saidOverdue) {
        saidOverdue = true
        this.#task.onPhase('overdue')
        this.#task.onOverdue(
          this.end('overdue', `${deadline.words}, and it is not over: ${this.#tell(seen)}`),
        )
      }
      if (!saidOverdue) this.#task.onPhase(judge(seen, this.goal, 0) === 'proves' ? 'settling' : 'waiting')
      const settleLeftMs =
        judge(seen, this.goal, 0) === 'proves' ? this.#task.definition.settleMs - seen.heldMs : 0
      await this.#pause(Math.max(settleLeftMs, saidOverdue ? overduePollMs : pollMs), deadline)
      pollMs = Math.min(pollMs * 2, longestPollMs)
    }
  }

  /** @param detail what was seen, for a person; what the manager answered stands before it when that was a no. */
  end(outcome: Outcome, detail: string): Ending {
    const said = this.attempt !== undefined && !this.attempt.accepted ? `${this.attempt.detail}; ` : ''
    const output: Output | undefined = this.attempt?.output
    return {
      outcome,
      reason: cut(detail.startsWith(said) ? detail : `${said}${detail}`),
      ...(this.#latest && { observation: this.#latest }),
      ...(output && { output }),
      durationMs: this.#stage.clock.now() - this.#startedAt,
    }
  }

  #conclude(seen: Observation, missed: 'failed' | 'interrupted', deadline: Deadline): Ending {
    if (judge(seen, this.goal, 0) === 'silent' && seen.state !== 'missing')
      return this.end('unproven', seen.detail)
    const isLate = deadline.signal.aborted && missed === 'failed'
    const late = isLate ? `not ${this.goal} when ${deadline.words}: ` : ''
    return this.end(missed, `${late}${this.#tell(seen)}`)
  }

  /** What was seen, and on a stop which processes an operator has to look for. */
  #tell({ detail, processes = [] }: Observation): string {
    if (this.goal === 'running' || processes.length === 0) return detail
    const named = processes.slice(0, holdersNamed).map(({ pid, command }) => `${pid} (${command})`)
    const more = processes.length > holdersNamed ? ` and ${processes.length - holdersNamed} more` : ''
    return `${detail}; held by ${named.join(', ')}${more}`
  }

  /**
   * Whether something is still happening: a transition of the service, or the action itself. What a start leaves running
   * may be the service: only its script counts, which lives on here only where it could not be ended.
   */
  #isUnderWay(seen: Observation): boolean {
    if (seen.state === 'starting' || seen.state === 'stopping') return true
    if (this.#group === undefined) return false
    const { processes } = this.#stage
    return this.#task.verb === 'start'
      ? processes.isLeaderAlive(this.#group)
      : processes.isGroupAlive(this.#group)
  }

  /** Whether waiting for the deadline would only delay the bad news. */
  #isHopeless(seen: Observation): boolean {
    if (this.attempt === undefined) return false
    const verdict = judge(seen, this.goal, 0)
    if (!this.attempt.accepted) return verdict === 'contradicts' || seen.state === 'missing'
    return this.goal === 'running' && seen.state === 'failed' && seen.heldMs >= failedForMs
  }

  async #pause(ms: number, deadline: Deadline): Promise<void> {
    const { letGo } = this.#task
    const until = deadline.signal.aborted ? letGo : AbortSignal.any([letGo, deadline.signal])
    await this.#stage.clock.sleep(ms, until).catch(() => {})
    letGo.throwIfAborted()
  }
}

async function request(stage: Stage, task: Task, watch: Watch, signal: AbortSignal): Promise<Attempt> {
  const { definition, verb } = task
  const act: Act = {
    signal,
    onLine: task.onLine,
    onProcess: (group) => {
      watch.noteGroup(group)
      task.onProcess(group)
    },
    outputFile: task.outputFile,
    redactor: stage.redactor,
    scope: stage.processes.scopeFor(definition.service, timeoutOf(task)),
  }
  const manager = stage.managers[definition.manager.kind] as Manager
  try {
    return await manager[verb](definition.manager, act)
  } catch (error) {
    return { accepted: false, detail: cut(error instanceof Error ? error.message : String(error)) }
  }
}

/** Waits for what an earlier agent process started, and ends it when its time is up. */
async function awaitGroup(
  { clock, processes }: Stage,
  verb: 'start' | 'stop',
  group: ProcessGroup | undefined,
  deadline: Deadline,
  letGo: AbortSignal,
): Promise<void> {
  if (group === undefined) return
  // What a start leaves running in its group may be the service itself: only the script is waited for.
  const lives = (): boolean =>
    verb === 'start' ? processes.isLeaderAlive(group) : processes.isGroupAlive(group)
  while (lives() && !deadline.signal.aborted) {
    await clock.sleep(longestPollMs / 10, AbortSignal.any([letGo, deadline.signal])).catch(() => {})
    letGo.throwIfAborted()
  }
  if (lives()) {
    processes.killGroup(group, 'SIGTERM')
    await clock.sleep(2 * longestPollMs, letGo)
    processes.killGroup(group, 'SIGKILL')
  }
}

function timeoutOf({ verb, definition }: Task): number {
  return verb === 'start' ? definition.startTimeoutMs : definition.stopTimeoutMs
}

/** A command without `status` can be run, but nobody can see what it came to. */
function isBlind({ manager }: ServiceDefinition): boolean {
  return manager.kind === 'command' && manager.status === undefined
}
