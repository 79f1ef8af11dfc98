import { existsSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { Ended } from '../../support/filo.ts'
import type { Fleet } from '../../support/fleet.ts'
import { until } from '../../support/until.ts'

const crashPoints = fileURLToPath(new URL('crash-points.ts', import.meta.url))

/** The environment of a program that kills itself at a point. */
export function crashAt(point: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=${crashPoints}`, FILO_CRASH_AT: point }
}

/**
 * The writes and sends that a fleet's own journal and ledger tell of: what was swept is held against it, so that a
 * program which writes or sends in a way that is not noticed shows.
 */
export function tracesOf(fleet: Fleet): string[] {
  const files = [
    ['coordinator', join(fleet.path, '.state', 'test', 'journal.db')],
    ['agent', join(fleet.agentOf('app').stateDir, 'ledger.db')],
  ] as const
  return files.flatMap(([role, file]) => {
    using db = new DatabaseSync(file, { readOnly: true })
    const strings = (sql: string): string[] =>
      db
        .prepare(sql)
        .all()
        .map((row) => String(row['name']))
    const tables = strings('select name from tally where changes > 0')
    return tables.flatMap((table) => {
      const types = table.endsWith('_event')
        ? strings(`select distinct event ->> '$.type' as name from ${table}`).map(
            (type) => `${table} ${type}`,
          )
        : [`\\w+ ${table}`]
      return types.flatMap((what) => [
        `^${role}, ${basename(file)}: before ${what}$`,
        `^${role}, ${basename(file)}: after ${what}$`,
      ])
    })
  })
}

export type Role = 'coordinator' | 'agent'
export type Verb = 'stop' | 'start'

/** Where each process that follows another in a role is killed; those beyond the list live on. */
export interface Scenario {
  readonly verb: Verb
  readonly coordinator: readonly string[]
  readonly agent: readonly string[]
}

/** A moment that a process of a scenario came to. */
export interface Moment {
  readonly role: Role
  /** Which process of its role, from 0. */
  readonly life: number
  readonly point: string
  readonly killed: boolean
}

/** What came of a scenario. */
export interface Trial {
  readonly moments: readonly Moment[]
  /** What is wrong with what took effect; undefined where all is as it should be. */
  readonly fault: string | undefined
}

/** More processes than any recovery takes. */
const mostLives = 6
/** An agent that is gone for so long has been asked for in vain. */
const noticeMs = 3000

/** Plays scenarios on a fleet of `web` needs `app` needs `db`; the agent that is killed is that of `app`. */
export class Stage {
  readonly #fleet: Fleet
  readonly #file: string
  /** Where the agent that runs now is to be killed. */
  #agentCrashesAt: string | undefined = 'before it notes its moments'

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.#file = join(fleet.path, 'points')
  }

  async play(scenario: Scenario): Promise<Trial> {
    this.#fleet.services.forget()
    const agent = await this.#keepAgent(scenario)
    const fault = await this.#carryOut(scenario)
      .then(() => this.#faultOf(scenario.verb))
      .catch((error: unknown) => String(error))
    await agent.end()
    return { moments: this.#moments(scenario), fault }
  }

  /** Starts the agent anew, where it is to be killed or was to be; and again whenever it has ended. */
  async #keepAgent(scenario: Scenario) {
    const { agent: crashes } = scenario
    const agent = this.#fleet.agentOf('app')
    if (crashes.length > 0 || this.#agentCrashesAt !== undefined) await agent.kill()
    rmSync(this.#file, { force: true })
    const ending = new AbortController()
    const { signal } = ending
    const tend = async (): Promise<void> => {
      for (let life = 0; !signal.aborted; life += 1) {
        if (life > mostLives) throw new Error('the agent does not stay alive')
        if (!agent.isRunning) {
          if (life > 0) await this.#letCoordinatorNotice(scenario)
          this.#agentCrashesAt = crashes[life]
          agent.environment = this.#environment('agent', life, crashes[life])
          agent.launch()
        }
        await until('the agent or the trial to end', () => signal.aborted || !agent.isRunning, {
          timeoutMs: 300_000,
        })
      }
    }
    const tending = tend()
    tending.catch(() => {})
    return {
      end: async () => {
        ending.abort()
        await tending
      },
    }
  }

  /** What a coordinator does only while an agent is gone is to be met again: that one is not back at once. */
  async #letCoordinatorNotice({ coordinator: crashes }: Scenario): Promise<void> {
    if (crashes.length === 0) return
    const isKilled = () => /"coordinator.*"killed"/.test(readFileSync(this.#file, 'utf8'))
    await until('the coordinator to be killed', isKilled, { timeoutMs: noticeMs }).catch(() => {})
  }

  /** Orders the verb, and does what an operator does whose process was killed: resume, or order it again. */
  async #carryOut({ verb, coordinator: crashes }: Scenario): Promise<void> {
    const told: string[] = []
    let args: readonly string[] = [verb]
    for (let life = 0; life <= mostLives; life += 1) {
      const ended = await this.#filo(args, life, crashes[life])
      told.push(`filo ${args.join(' ')}: ${ended.signal ?? ended.code}\n${ended.stderr}\n${ended.stdout}`)
      if (ended.code === 0) return
      // 4: there is no such run, or it has ended; the verb then finds what is left. 75: a run that ended and could
      // not give its hosts back holds them for the rest of its lease.
      if (ended.code === 4) args = [verb]
      else if (ended.code === 75) args = ['resume', '--take-over']
      else args = ['resume']
    }
    throw new Error(`it did not end well:\n${told.join('\n')}`)
  }

  async #filo(args: readonly string[], life: number, point: string | undefined): Promise<Ended> {
    await using running = this.#fleet.start([...args, '--yes', '--patience', '20s'], {
      env: this.#environment('coordinator', life, point),
      timeoutMs: 240_000,
    })
    return await running.ended
  }

  #environment(role: Role, life: number, point = ''): Record<string, string> {
    return {
      NODE_OPTIONS: `--import=${crashPoints}`,
      FILO_POINTS: this.#file,
      FILO_LIFE: `${role} ${life}`,
      FILO_CRASH_AT: point,
    }
  }

  /** An agent that was not restarted for this trial is in its first life, as far as the trial goes. */
  #moments({ agent: crashes }: Scenario): Moment[] {
    if (!existsSync(this.#file)) return []
    return readFileSync(this.#file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [where, point, killed] = JSON.parse(line) as [string, string, 'killed'?]
        const [role, life] = where.split(' ') as [Role, string]
        const isOlder = role === 'agent' && crashes.length === 0
        return { role, life: isOlder ? 0 : Number(life), point, killed: killed === 'killed' }
      })
  }

  /** By the services' own ledger: each went down or came up once and in order, and no script ran for nothing. */
  #faultOf(verb: Verb): string | undefined {
    const { services } = this.#fleet
    const order = verb === 'stop' ? ['web', 'app', 'db'] : ['db', 'app', 'web']
    const effect = verb === 'stop' ? 'down' : 'up'
    const expected = {
      effects: order.map((name) => `${name} ${effect}`),
      requests: order.map((name) => `${name} ${verb}`),
    }
    const found = { effects: services.effects(), requests: services.requests() }
    if (JSON.stringify(found) === JSON.stringify(expected)) return undefined
    return `took effect: ${found.effects.join(', ')}; asked for: ${found.requests.join(', ')}`
  }
}
