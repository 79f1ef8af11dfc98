import type { Live, ManagerDefinition, Output, ProcessRef, Redactor, State } from '@filo/protocol'

// What the agent asks of a service manager. One file per manager beside this one; what is common to all
// (polling, settling, probing, deadlines, the ledger) lives above, in perform.ts.

/** What a manager says of one service right now. The agent adds by whom, when, and for how long it has held. */
export interface Sighting {
  readonly state: State
  readonly live: Live
  /** The manager's own words, for a person. */
  readonly detail: string
  /** How long the manager's own record vouches for this state, milliseconds; absent where it keeps none. */
  readonly heldMs?: number
  /** When the state began, where the manager knows. */
  readonly since?: Date
  readonly processes?: readonly ProcessRef[]
  readonly warnings?: readonly string[]
}

/** What became of the request to change something. The state decides, not this: it only ends hopeless waiting early. */
export interface Attempt {
  /** The manager took the request, or the script ended well. */
  readonly accepted: boolean
  /** What it said, for a person; with the exit status where there is one. */
  readonly detail: string
  readonly output?: Output
}

/** A process group of an action, noted durably so that a restarted agent can tell whether it still lives. */
export interface ProcessGroup {
  readonly pgid: number
  /** Start time of its leader in clock ticks since boot (proc_pid_stat(5), field 22): a pid alone may be reused. */
  readonly startTicks: number
}

/** What an action lends to a manager while it acts. */
export interface Act {
  /** Aborted at the deadline, or by an operator: kill what was started, then return what is known. */
  readonly signal: AbortSignal
  /** Lines that the manager or script prints, as they come. */
  readonly onLine: (line: string) => void
  /** To be called with a process group as soon as it exists, before anything is awaited. */
  readonly onProcess: (group: ProcessGroup) => void
  /**
   * The service's own file, `<state>/output/<service>.log`: what is started writes there and not into a pipe, so
   * that neither a script nor a daemon that it leaves behind gets SIGPIPE when the agent is gone.
   */
  readonly outputFile: string
  /** Washes secrets out of what is printed. */
  readonly redactor: Redactor
  /** What to put before the argv of a script, so that what it leaves running does not share the agent's fate; see scope.ts. */
  readonly scope: readonly string[]
}

/** At the end of an argument of a `RootCommand`: a name stands there that only the host knows. No argument can hold it. */
export const anyName = '\0'

/** A command that a manager runs with the rights of root. */
export type RootCommand =
  | { readonly kind: 'look'; readonly argv: readonly string[]; readonly timeoutMs: number }
  /** Asks for something, and returns at once. */
  | { readonly kind: 'request'; readonly argv: readonly string[] }
  /** Takes as long as the verb may take, and may leave running what it likes. */
  | { readonly kind: 'script'; readonly verb: 'start' | 'stop'; readonly argv: readonly string[] }

export interface Manager<Definition extends ManagerDefinition = ManagerDefinition> {
  readonly kind: Definition['kind']
  /**
   * Looks and changes nothing. One sighting for each definition, in their order. Where the manager can answer for many at
   * once it is asked once, also for those who look side by side (gathered.ts); but it is asked after they began to, and
   * what keeps one definition from being seen hides no other. Never throws for what it sees: what cannot be told is
   * `unknown`, with why.
   */
  observe(definitions: readonly Definition[], signal: AbortSignal): Promise<Sighting[]>
  /** Asks for the service to run. Returns when the manager has answered, which may be before it runs. */
  start(definition: Definition, act: Act): Promise<Attempt>
  /** Asks for the service to stop. Returns when the manager has answered, which may be before it has stopped. */
  stop(definition: Definition, act: Act): Promise<Attempt>
  /**
   * Whether what was stopped through this manager has to be started through it, even if it runs again by another hand
   * meanwhile: its stop also stops or pauses what only its start resumes. Such a start is owed, and the ledger
   * remembers it. Absent where a start does nothing to what runs.
   */
  owesStart?(definition: Definition): boolean
  /** All that it may run as root for a service, each with all its arguments; what it asks for by other ways is not in it. */
  rootCommands(definition: Definition): readonly RootCommand[]
  /**
   * Whether the process `pid` is part of the service: an agent refuses to stop what it is part of itself.
   * Absent where the manager cannot contain an agent.
   */
  contains?(definition: Definition, pid: number, signal: AbortSignal): Promise<boolean>
}
