import { setTimeout as delay } from 'node:timers/promises'
import { cut, limits, type Live, type State, type SystemdDefinition } from '@filo/protocol'
import { describeExit, look } from '../exec.ts'
import { firstLine } from '../printable.ts'
import { processWithPid } from '../process-table.ts'
import { direct, type Runner } from '../runner.ts'
import { mapBounded } from './bounded.ts'
import { cgroupsOf, processesInCgroup } from './cgroup.ts'
import { combine } from './combined.ts'
import { gather, type Ask } from './gathered.ts'
import { missing } from './lsb-script.ts'
import type { Act, Attempt, Manager, RootCommand, Sighting } from './manager.ts'
import { parseJobs, parseUnits, unitName, unitProperties, type Unit } from './systemd-unit.ts'

const askTimeoutMs = 8000
/** How soon a request is made again where another job was in its way. */
const askAgainMs = 1000

/** Questions asked side by side where one for all was refused. */
const askedAtOnce = 8

/** systemd did not answer what it was asked. */
class NoWord {
  readonly why: string
  /** It said no, rather than nothing: asked otherwise it may say more. */
  readonly isRefusal: boolean

  constructor(why: string, isRefusal = false) {
    this.why = why
    this.isRefusal = isRefusal
  }
}

const cutShort = (): NoWord => new NoWord('the question was cut short')

/** What one observation knows beside the units it was asked for. */
interface Surroundings {
  /** Units that start, follow or make up those asked for, by their names. */
  readonly related: ReadonlyMap<string, Unit>
  /** Types of queued jobs by unit. */
  readonly jobs: ReadonlyMap<string, string>
  /** Units that do nothing themselves. */
  readonly dummies: ReadonlySet<string>
}

/** systemd by `systemctl`, which tells everybody and obeys root. `host` says where that program and the control groups are, if not where they always are. */
export class Systemd implements Manager<SystemdDefinition> {
  readonly kind = 'systemd'
  readonly #runner: Runner
  readonly #systemctl: string
  readonly #cgroups: string | undefined
  /** By their names. */
  readonly #show: Ask<string, Unit | NoWord>
  readonly #showCommands: Ask<string, string | NoWord>
  readonly #listJobs: Ask<'jobs', ReadonlyMap<string, string> | NoWord>

  constructor(
    host: { readonly systemctl?: string; readonly cgroups?: string; readonly runner?: Runner } = {},
  ) {
    this.#runner = host.runner ?? direct
    this.#systemctl = host.systemctl ?? 'systemctl'
    this.#cgroups = host.cgroups
    const show = [`--property=${unitProperties.join(',')}`]
    this.#show = gather((names, signal) => this.#ask(names, show, parseUnits, signal), cutShort)
    // Apart from the others: a command may hold line breaks.
    const showCommand = ['--property=ExecStart', '--value']
    this.#showCommands = gather(
      (names, signal) => this.#ask(names, showCommand, splitValues, signal),
      cutShort,
    )
    this.#listJobs = gather(async (_, signal) => {
      const listed = await this.#run(['list-jobs', '--plain', '--no-legend'], signal)
      return [typeof listed === 'string' ? parseJobs(listed) : listed]
    }, cutShort)
  }

  async observe(definitions: readonly SystemdDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    const names = definitions.map(({ unit }) => unitName(unit))
    const asked = names.filter((name) => name !== undefined)
    const answers = await this.#show(asked, signal)
    const units = new Map(asked.map((name, at) => [name, answers[at]!]))
    const told = answers.filter((answer): answer is Unit => !(answer instanceof NoWord))
    const surroundings = await this.#lookAround(told, signal)
    return definitions.map(({ unit }, at) => {
      const name = names[at]
      if (name === undefined) {
        return missing(unit, 'no unit can have this name; a template needs an instance')
      }
      const answer = units.get(name)!
      if (answer instanceof NoWord) return unanswered(answer)
      return surroundings instanceof NoWord ? unanswered(surroundings) : this.#see(answer, surroundings)
    })
  }

  start({ unit }: SystemdDefinition, action: Act): Promise<Attempt> {
    return this.#request('start', unit, action)
  }

  stop({ unit }: SystemdDefinition, action: Act): Promise<Attempt> {
    return this.#request('stop', unit, action)
  }

  rootCommands({ unit }: SystemdDefinition): readonly RootCommand[] {
    const name = unitName(unit)
    if (name === undefined) return []
    return (['start', 'stop'] as const).map((verb) => ({ kind: 'request', argv: this.#argvOf(verb, name) }))
  }

  async contains({ unit }: SystemdDefinition, pid: number, signal: AbortSignal): Promise<boolean> {
    const name = unitName(unit)
    const groups = cgroupsOf(pid)
    if (name === undefined) return false
    if (groups.some((group) => group.split('/').includes(name))) return true
    // It may go by an alias, or by a slice above it.
    const [answer] = await this.#show([name], signal)
    const own = answer instanceof NoWord ? '' : answer!.controlGroup
    return own !== '' && groups.some((group) => group === own || group.startsWith(`${own}/`))
  }

  /**
   * Queues a job and returns: the job is systemd's, it goes on whatever becomes of systemctl, so waiting for it is
   * left to those who look at the state. `fail`: a job that an administrator has queued is never replaced, but waited for.
   */
  async #request(verb: 'start' | 'stop', unit: string, action: Act): Promise<Attempt> {
    const name = unitName(unit)
    if (name === undefined) return { accepted: false, detail: cut(`${verb}: no unit can be named ${unit}`) }
    const argv = this.#argvOf(verb, name)
    for (let isSaid = false; ; isSaid = true) {
      const { exit, output } = await this.#runner.request(argv, action)
      if (exit.kind === 'exited' && exit.code === 0) {
        return { accepted: true, detail: `systemctl ${verb} ${name}: queued`, output }
      }
      const said = firstLine(output.head)
      const isInTheWay = said.includes('destructive')
      if (isInTheWay && !isSaid) action.onLine('waiting for another job to end: systemctl list-jobs')
      if (isInTheWay && (await pause(askAgainMs, action.signal))) continue
      const hint = isInTheWay ? '; see what is under way: systemctl list-jobs' : ''
      const detail = `systemctl ${verb} ${name}: ${describeExit(exit)}${said === '' ? '' : ` (${said})`}${hint}`
      return { accepted: false, detail: cut(detail), output }
    }
  }

  #argvOf(verb: 'start' | 'stop', name: string): string[] {
    return [this.#systemctl, '--no-ask-password', '--no-block', '--job-mode=fail', verb, '--', name]
  }

  async #lookAround(units: readonly Unit[], signal: AbortSignal): Promise<Surroundings | NoWord> {
    const neighbours = units.flatMap(({ triggeredBy, followers }) => [...triggeredBy, ...followers.keys()])
    const names = neighbours.filter((name) => unitName(name) === name)
    const remaining = units.filter(({ remains }) => remains).map(({ id }) => id)
    const [shown, commands] = await Promise.all([
      this.#show(names, signal),
      this.#showCommands(remaining, signal),
    ])
    const related = new Map<string, Unit>()
    for (const [at, unit] of shown.entries()) {
      if (unit instanceof NoWord) return unit
      related.set(names[at]!, unit)
    }
    const dummies = new Set<string>()
    for (const [at, command] of commands.entries()) {
      if (command instanceof NoWord) return command
      if (doesNothing(command)) dummies.add(remaining[at]!)
    }
    const hasJobs = [...units, ...related.values()].some(({ job }) => job !== undefined)
    const [jobs] = hasJobs ? await this.#listJobs(['jobs'], signal) : [new Map<string, string>()]
    return jobs instanceof NoWord ? jobs : { related, jobs: jobs!, dummies }
  }

  /**
   * `systemctl show` of all units at once. Where that is refused, or tells of another number of them, it is asked for each
   * by itself, so that one hides no other. Where it does not answer in time nobody is answered: it is the same systemd that
   * answers for each, from memory and not from the unit.
   */
  async #ask<Answer>(
    names: readonly string[],
    options: readonly string[],
    parse: (shown: string, units: number) => Answer[],
    signal: AbortSignal,
  ): Promise<(Answer | NoWord)[]> {
    const shown = await this.#run(['show', ...options, '--', ...names], signal)
    const answers = shown instanceof NoWord ? [] : parse(shown, names.length)
    if (answers.length === names.length) return answers
    const told = `asked for ${names.length} units, it told of ${answers.length}`
    const why = shown instanceof NoWord ? shown : new NoWord(told, true)
    if (names.length === 1 || !why.isRefusal) return names.map(() => why)
    return await mapBounded(names, askedAtOnce, async (name) => {
      const [answer] = await this.#ask([name], options, parse, signal)
      return answer!
    })
  }

  async #run(args: readonly string[], signal: AbortSignal): Promise<string | NoWord> {
    const argv = [this.#systemctl, '--no-pager', ...args]
    const { exit, stdout, stderr } = await look(argv, { signal, timeoutMs: askTimeoutMs })
    if (exit.kind === 'exited' && exit.code === 0) return stdout
    const why = firstLine(stderr) || `systemctl ${args[0]}: ${describeExit(exit)}`
    return new NoWord(why, exit.kind === 'exited')
  }

  #see(unit: Unit, { related, jobs, dummies }: Surroundings): Sighting {
    const own = this.#seeAlone(unit, jobs)
    const warnings = warningsOf(unit, related, dummies)
    const noted = warnings.length > 0 ? { warnings } : {}
    if (!dummies.has(unit.id) || own.state === 'missing') return { ...own, ...noted }
    // PartOf makes systemd stop the real units with the dummy, but the dummy's own stop does not wait for theirs.
    const parts = unit.parts.flatMap((name) => {
      const part = related.get(name)
      return part === undefined ? [] : [{ name, ...this.#seeAlone(part, jobs) }]
    })
    const all = [own, ...parts]
    const heldMs = Math.min(...all.map((seen) => seen.heldMs ?? 0))
    const detail = [own.detail, ...parts.map((part) => `${part.name} ${part.detail}`)].join('; ')
    const processes = all.flatMap((seen) => seen.processes ?? []).slice(0, limits.processesNamed)
    return {
      ...combine(all),
      detail: cut(detail),
      heldMs,
      ...(processes.length > 0 && { processes }),
      ...noted,
    }
  }

  #seeAlone(unit: Unit, jobs: ReadonlyMap<string, string>): Sighting {
    const atRest = unit.active === 'inactive' || unit.active === 'failed'
    const pids = unit.controlGroup === '' ? [] : processesInCgroup(unit.controlGroup, this.#cgroups)
    if (atRest && pids?.length === 0 && (unit.load === 'not-found' || unit.load === 'masked')) {
      return missing(
        unit.id,
        unit.load === 'masked' ? 'it is masked (systemctl unmask)' : 'systemd finds no such unit',
      )
    }
    const heldMs = unit.changedAtUs > 0 ? Math.max(0, (monotonicUs() - unit.changedAtUs) / 1000) : undefined
    const processes = (pids ?? []).flatMap((pid) => processWithPid(pid) ?? []).slice(0, limits.processesNamed)
    return {
      state: stateOf(unit, jobs.get(unit.id)),
      live: liveOf(unit, atRest, pids),
      detail: detailOf(unit, jobs.get(unit.id), pids),
      ...(heldMs !== undefined && { heldMs, since: new Date(Date.now() - heldMs) }),
      ...(processes.length > 0 && { processes }),
    }
  }
}

function unanswered({ why }: NoWord): Sighting {
  return { state: 'unknown', live: 'unknown', detail: cut(`systemd does not answer: ${why}`) }
}

/** Debian's postgresql.service and postfix.service run true(1) and stay active; other units do the work. */
function doesNothing(command: string): boolean {
  return /^\{ path=(?:\/usr)?\/bin\/true ; [^\n]*$/.test(command.trim())
}

/** Values of one property, which may hold anything; more of them than units where one holds an empty line. */
function splitValues(shown: string, units: number): string[] {
  return units === 1 ? [shown] : shown.split('\n\n')
}

/** Whether the time has passed before the action's own was up. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return await delay(ms, true, { signal }).catch(() => false)
}

/** Node's hrtime is CLOCK_MONOTONIC, the clock of systemd's monotonic timestamps. */
function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** A job that waits in systemd's queue says where the unit is going, whatever it does now. */
function stateOf(unit: Unit, jobType: string | undefined): State {
  const states: Readonly<Record<string, State>> = {
    active: 'running',
    reloading: 'running',
    refreshing: 'running',
    inactive: unit.load === 'bad-setting' || unit.load === 'error' ? 'failed' : 'stopped',
    failed: 'failed',
    activating: 'starting',
    deactivating: 'stopping',
  }
  const state = states[unit.active] ?? 'unknown'
  if (unit.job === undefined) return state
  if (jobType === 'stop') return 'stopping'
  if (state === 'stopped' || state === 'failed') return 'starting'
  return state === 'running' && jobType?.includes('restart') === true ? 'stopping' : state
}

function liveOf(unit: Unit, atRest: boolean, pids: readonly number[] | undefined): Live {
  if (!atRest || unit.job !== undefined) return 'yes'
  if (pids === undefined) return 'unknown'
  return pids.length > 0 ? 'yes' : 'no'
}

function detailOf(unit: Unit, jobType: string | undefined, pids: readonly number[] | undefined): string {
  const notes = [`${unit.active} (${unit.sub})`]
  if (unit.result !== 'success' && unit.result !== '') {
    const status = unit.result === 'exit-code' ? ` ${unit.exitStatus}` : ''
    notes.push(`result ${unit.result}${status}`)
  }
  if (unit.sub === 'auto-restart') notes.push(`systemd starts it again; ${unit.restarts} restarts so far`)
  if (unit.job !== undefined)
    notes.push(`job ${unit.job} queued${jobType === undefined ? '' : `: ${jobType}`}`)
  if (unit.load !== 'loaded') notes.push(`its unit file: ${unit.load}`)
  if (pids === undefined) notes.push(`its control group ${unit.controlGroup} cannot be read`)
  else if (unit.active !== 'active' && pids.length > 0) notes.push(`processes: ${pids.length}`)
  return cut(notes.join('; '))
}

/** What else the host's own manager would do (P7). */
function warningsOf(unit: Unit, related: ReadonlyMap<string, Unit>, dummies: ReadonlySet<string>): string[] {
  const isActive = (name: string): boolean =>
    !['inactive', 'failed'].includes(related.get(name)?.active ?? 'inactive')
  const warnings: string[] = []
  if (dummies.has(unit.id)) {
    const real =
      unit.parts.length > 0
        ? `declare ${unit.parts.join(', ')} instead`
        : 'declare the unit that does the work'
    warnings.push(`${unit.id} does nothing itself (it runs true): ${real}`)
  }
  const triggers = unit.triggeredBy.filter(isActive)
  if (triggers.length > 0) {
    warnings.push(`${triggers.join(', ')} would start it again after a stop: stop that first`)
  }
  const isPart = (name: string): boolean => dummies.has(unit.id) && unit.parts.includes(name)
  const followers = [...unit.followers].filter(([name]) => isActive(name) && !isPart(name))
  if (followers.length > 0) {
    const named = followers.map(([name, relation]) => `${name} (${relation})`).join(', ')
    warnings.push(`stopping it also stops ${named}`)
  }
  return warnings.map((warning) => cut(warning))
}
