import { cut, type Clock, type Freeze, type Task } from '@filo/protocol'
import type { Logger } from 'pino'
import { localTime } from './policy-file.ts'
import { objectionTo, standstillOf, type Policy } from './policy.ts'
import type { Rights } from './rights.ts'

/** What a host lets its agent do: by its own policy, and by its sudo where the agent needs that. */
export class Permission {
  readonly #policy: () => Policy
  readonly #rights: Rights | undefined
  readonly #clock: Clock
  readonly #log: Logger
  #lack: string | undefined

  constructor(world: {
    readonly policy: () => Policy
    readonly rights?: Rights
    readonly clock: Clock
    readonly log: Logger
  }) {
    this.#policy = world.policy
    this.#rights = world.rights
    this.#clock = world.clock
    this.#log = world.log
  }

  /** Why the host's own policy forbids some of this now. */
  objectionTo(tasks: readonly Task[], operator: string): string | undefined {
    return objectionTo(tasks, operator, this.#policy(), localTime(this.#clock.wall()))
  }

  freeze(): Freeze | null {
    const standstill = standstillOf(this.#policy(), localTime(this.#clock.wall()))
    if (standstill === undefined) return null
    const { untilMs, why } = standstill
    return { until: untilMs === null ? null : new Date(untilMs).toISOString(), why: cut(why) }
  }

  /** Whether rights may be lacking, which takes a while to find out. */
  get isLimited(): boolean {
    return this.#rights !== undefined
  }

  /** Which rights it was last seen to lack, of all that it may be asked for. */
  get lack(): string | null {
    return this.#lack ?? null
  }

  async lackFor(tasks: readonly Task[]): Promise<string | undefined> {
    return await this.#rights?.lackFor(tasks)
  }

  /** Sees anew what it lacks. */
  async review(): Promise<void> {
    this.#lack = await this.#rights?.lackFor()
    if (this.#lack !== undefined) this.#log.error({ why: this.#lack }, 'the agent lacks rights')
  }
}
