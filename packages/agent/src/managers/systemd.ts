import { setTimeout as delay } from 'node:timers/promises'
import { cut, limits, type Live, type State, type SystemdDefinition } from '@filo/protocol'
import { act, describeExit, look } from '../exec.ts'
import { firstLine } from '../printable.ts'
import { processWithPid } from '../process-table.ts'
import { cgroupsOf, processesInCgroup } from './cgroup.ts'
import { combine } from './combined.ts'
import { missing } from './lsb-script.ts'
import type { Act, Attempt, Manager, Sighting } from './manager.ts'
import { parseJobs, parseUnits, unitName, unitProperties, type Unit } from './systemd-unit.ts'

const askTimeoutMs = 8000
/** How soon a request is made again where another job was in its way. */
const askAgainMs = 1000

/** systemd did not answer what it was asked. */
class NoWord extends Error {
  override name = 'NoWord'
}

/** What one observation knows beside the units it was asked for. */
interface Surroundings {
  /** Units that start, follow or make up those asked for, by their names. */
  readonly related: ReadonlyMap<string, Unit>
  /** Types of queued jobs by unit. */
  readonly jobs: ReadonlyMap<string, string>
  /** Units that do nothing themselves. */
  readonly dummies: ReadonlySet<string>
}

/** systemd by `systemctl`. `host` says where that program and the control groups are, if not where they always are. */
export class Systemd implements Manager<SystemdDefinition> {
  readonly kind = 'systemd'
  readonly #systemctl: string
  readonly #cgroups: string | undefined

  constructor(host: { readonly systemctl?: string; readonly cgroups?: string } = {}) {
    this.#systemctl = host.systemctl ?? 'systemctl'
    this.#cgroups = host.cgroups
  }

  async observe(definitions: readonly SystemdDefinition[], signal: AbortSignal): Promise<Sighting[]> {
    const names = definitions.map(({ unit }) => unitName(unit))
    try {
      const units = await this.#show(
        names.filter((name) => name !== undefined),
        signal,
      )
      const surroundings = await this.#lookAround([...units.values()], signal)
      return definitions.map(({ unit }, at) => {
        const name = names[at]
        if (name === undefined)
          return missing(unit, 'no unit can have this name; a template needs an instance')
        return this.#see(units.get(name)!, surroundings)
      })
    } catch (error) {
      if (!(error instanceof NoWord)) throw error
      const detail = cut(`systemd does not answer: ${error.message}`)
      return definitions.map(() => ({ state: 'unknown', live: 'unknown', detail }))
    }
  }

  start({ unit }: SystemdDefinition, action: Act): Promise<Attempt> {
    return this.#request('start', unit, action)
  }

  stop({ unit }: SystemdDefinition, action: Act): Promise<Attempt> {
    return this.#request('stop', unit, action)
  }

  async contains({ unit }: SystemdDefinition, pid: number, signal: AbortSignal): Promise<boolean> {
    const name = unitName(unit)
    const groups = cgroupsOf(pid)
    if (name === undefined) return false
    if (groups.some((group) => group.split('/').includes(name))) return true
    // It may go by an alias, or by a slice above it.
    const units = await this.#show([name], signal).catch(() => new Map<string, Unit>())
    const own = units.get(name)?.controlGroup ?? ''
    return own !== '' && groups.some((group) => group === own || group.startsWith(`${own}/`))
  }

  /**
   * Queues a job and returns: the job is systemd's, it goes on whatever becomes of systemctl, so waiting for it is
   * left to those who look at the state. `fail`: a job that an administrator has queued is never replaced, but waited for.
   */
  async #request(verb: 'start' | 'stop', unit: string, action: Act): Promise<Attempt> {
    const name = unitName(unit)
    if (name === undefined) return { accepted: false, detail: cut(`${verb}: no unit can be named ${unit}`) }
    const argv = [this.#systemctl, '--no-ask-password', '--no-block', '--job-mode=fail', verb, '--', name]
    for (let isSaid = false; ; isSaid = true) {
      const { exit, output } = await act(argv, action)
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

  /** One question for all. */
  async #show(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Unit>> {
    const asked = [...new Set(names)]
    if (asked.length === 0) return new Map()
    const shown = await this.#ask(['show', `--property=${unitProperties.join(',')}`, '--', ...asked], signal)
    const units = parseUnits(shown)
    if (units.length !== asked.length) {
      throw new NoWord(`asked for ${asked.length} units, it told of ${units.length}`)
    }
    return new Map(asked.map((name, at) => [name, units[at]!]))
  }

  async #lookAround(units: readonly Unit[], signal: AbortSignal): Promise<Surroundings> {
    const neighbours = units.flatMap(({ triggeredBy, followers }) => [...triggeredBy, ...followers.keys()])
    const related = await this.#show(
      neighbours.filter((name) => unitName(name) === name),
      signal,
    )
    const hasJobs = [...units, ...related.values()].some(({ job }) => job !== undefined)
    const jobs = hasJobs ? await this.#ask(['list-jobs', '--plain', '--no-legend'], signal) : ''
    const dummies = new Set<string>()
    for (const { id, remains } of units) {
      if (remains && (await this.#doesNothing(id, signal))) dummies.add(id)
    }
    return { related, jobs: parseJobs(jobs), dummies }
  }

  /** Debian's postgresql.service and postfix.service run true(1) and stay active; other units do the work. */
  async #doesNothing(id: string, signal: AbortSignal): Promise<boolean> {
    const shown = await this.#ask(['show', '--property=ExecStart', '--value', '--', id], signal)
    return /^\{ path=(?:\/usr)?\/bin\/true ; [^\n]*$/.test(shown.trim())
  }

  async #ask(args: readonly string[], signal: AbortSignal): Promise<string> {
    const argv = [this.#systemctl, '--no-pager', ...args]
    const { exit, stdout, stderr } = await look(argv, { signal, timeoutMs: askTimeoutMs })
    if (exit.kind === 'exited' && exit.code === 0) return stdout
    throw new NoWord(firstLine(stderr) || `systemctl ${args[0]}: ${describeExit(exit)}`)
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
