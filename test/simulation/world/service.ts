import type { InstanceName } from '@filo/protocol'
import type { Attempt, Sighting } from '../../../packages/agent/src/managers/manager.ts'
import type { Dice } from '../../support/dice.ts'
import type { Script } from './script.ts'
import type { Time } from './time.ts'

/** How a service and its manager take a request. */
export type Manner =
  | 'obeys'
  /** The manager answers at once, and the service takes its time. */
  | 'lingers'
  | 'refuses'
  /** The manager says yes and does nothing. */
  | 'lies'
  /** The manager says no and does it. */
  | 'complains'
  | 'breaks'
  /** What it stops leaves children behind that go on. */
  | 'forks'
  /** What it starts falls over and gets up again. */
  | 'flaps'
  /** The manager does not answer until its script is killed. */
  | 'hangs'
  /** It obeys, and comes back (or falls over) by itself some time later. */
  | 'relapses'

export const manners: readonly Manner[] = [
  'obeys',
  'lingers',
  'refuses',
  'lies',
  'complains',
  'breaks',
  'forks',
  'flaps',
  'hangs',
  'relapses',
]

type State = 'running' | 'stopped' | 'starting' | 'stopping' | 'failed'

const killed: Attempt = { accepted: false, detail: 'its script was killed' }

/** A service that lives on whatever becomes of agents, and misbehaves by dice while it is `ill`. */
export class Service {
  readonly name: InstanceName
  /** systemd sees transitions and what is left of a service, and keeps since when; init scripts do not. */
  readonly kind: 'systemd' | 'lsb'
  isIll = true
  /** How it takes a request while it is ill, by shares. */
  manners: readonly (readonly [Manner, number])[] = []
  /** How long it takes to obey at most, milliseconds. */
  obeysWithinMs = 3000
  /** How long after it runs it is ready. */
  readyAfterMs = 0
  /** Whether it is started when its host boots. */
  isEnabled = false
  state: State
  /** Whether any of its processes is alive. */
  isLive: boolean
  /** True time at which it last changed by another hand than an agent's, or by itself. */
  touchedAtMs = Number.NEGATIVE_INFINITY
  readonly #time: Time
  readonly #dice: Dice
  readonly #onChange: (service: Service, why: string) => void
  #sinceMs: number
  #blindUntilMs = 0
  #cancel = (): void => {}
  #cancelRelapse = (): void => {}
  /** Counts them. */
  #request = 0

  constructor(
    name: InstanceName,
    kind: 'systemd' | 'lsb',
    isRunning: boolean,
    world: {
      readonly time: Time
      readonly dice: Dice
      readonly onChange: (service: Service, why: string) => void
    },
  ) {
    this.name = name
    this.kind = kind
    this.#time = world.time
    this.#dice = world.dice
    this.#onChange = world.onChange
    this.state = isRunning ? 'running' : 'stopped'
    this.isLive = isRunning
    this.#sinceMs = world.time.nowMs - 3_600_000
  }

  /** Whether a request is still being carried out. */
  get isBusy(): boolean {
    return this.state === 'starting' || this.state === 'stopping'
  }

  get isReady(): boolean {
    return this.state === 'running' && this.#time.nowMs - this.#sinceMs >= this.readyAfterMs
  }

  /** What its manager says of it; while it cannot be seen, nothing. */
  sight(): Sighting {
    if (this.isIll && this.#time.nowMs < this.#blindUntilMs) {
      if (this.#dice.happens(0.2)) throw new Error('its status command cannot be run')
      return { state: 'unknown', live: 'unknown', detail: 'its status does not answer' }
    }
    const live = this.isLive ? 'yes' : 'no'
    if (this.kind === 'systemd') {
      const heldMs = this.#time.nowMs - this.#sinceMs
      return { state: this.state, live, detail: `unit is ${this.state}`, heldMs }
    }
    if (this.state === 'starting') return { state: 'stopped', live: 'no', detail: 'exit status 3' }
    if (this.state === 'stopping') return { state: 'running', live: 'yes', detail: 'exit status 0' }
    return { state: this.state, live, detail: `status says ${this.state}` }
  }

  hide(ms: number): void {
    this.#blindUntilMs = this.#time.nowMs + ms
  }

  /** Somebody does it without Filo, or it does so itself. */
  touch(isRunning: boolean, why: string): void {
    this.#cancel()
    this.#become(isRunning ? 'running' : 'stopped', why)
    this.touchedAtMs = this.#time.nowMs
  }

  /** The machine goes down. */
  powerOff(): void {
    this.#cancel()
    this.#cancelRelapse()
    this.#become('stopped', 'its host is off')
    this.touchedAtMs = this.#time.nowMs
  }

  /**
   * A manager's request, as of now; calls back when the manager has answered. When its script is killed before, the job
   * of systemd goes on all the same; what an init script was doing does not.
   */
  request(verb: 'start' | 'stop', script: Script, answer: (attempt: Attempt) => void): void {
    const manner = this.isIll ? this.#dice.weigh([['obeys', 0], ...this.manners]) : 'obeys'
    const before = this.state
    const say = (accepted: boolean, afterMs: number): void => {
      void script.over.then((how) =>
        answer(how === 'killed' ? killed : { accepted, detail: `${verb}: ${accepted}` }),
      )
      this.#time.after(afterMs, () => script.return())
    }
    if (manner === 'refuses' || manner === 'lies') return say(manner === 'lies', this.#dice.between(5, 500))
    this.#cancel()
    this.#become(verb === 'start' ? 'starting' : 'stopping', `${verb} begins: it ${manner}`)
    const request = (this.#request += 1)
    const lastsMs = this.#durationMs(manner)
    const isHidden = manner === 'lingers' && this.kind === 'lsb'
    this.#cancel = this.#time.after(lastsMs, () => {
      if (isHidden) this.touchedAtMs = this.#time.nowMs
      this.#obey(verb, manner)
    })
    if (manner === 'hangs' && this.#dice.happens(0.2)) {
      script.isStuck = true
      this.#time.after(this.#dice.between(1000, 60_000), () => (script.isStuck = false))
    }
    say(manner !== 'complains' && manner !== 'hangs', manner === 'lingers' ? 5 : lastsMs)
    void script.over.then((how) => {
      if (how !== 'killed' || this.kind === 'systemd' || request !== this.#request || !this.isBusy) return
      this.#cancel()
      this.#become(before === 'running' ? 'running' : 'stopped', 'its script was killed')
    })
  }

  #durationMs(manner: Manner): number {
    if (manner === 'lingers') return this.#dice.between(5000, 40_000)
    if (manner === 'hangs') return this.#dice.between(60_000, 300_000)
    return this.#dice.between(5, this.obeysWithinMs)
  }

  #obey(verb: 'start' | 'stop', manner: Manner): void {
    if (manner === 'breaks') return this.#break(verb)
    this.#become(verb === 'start' ? 'running' : 'stopped', 'it is done')
    if (manner === 'forks' && verb === 'stop' && this.kind === 'systemd') this.#leaveChildren()
    if (manner === 'flaps' && verb === 'start') this.#flap()
    if (manner === 'relapses') this.#relapse(verb)
  }

  #break(verb: 'start' | 'stop'): void {
    this.#become('failed', 'it breaks')
    this.isLive = verb === 'stop' && this.kind === 'systemd' && this.#dice.happens(0.5)
    if (this.isLive) this.#dieAfter(this.#dice.between(5000, 60_000))
  }

  #leaveChildren(): void {
    this.isLive = true
    this.#dieAfter(this.#dice.between(1000, 60_000))
  }

  #dieAfter(ms: number): void {
    this.#cancel = this.#time.after(ms, () => {
      this.isLive = false
      this.#onChange(this, 'the last of it is gone')
    })
  }

  #flap(): void {
    this.#cancel = this.#time.after(this.#dice.between(50, 3000), () => {
      this.#become('failed', 'it falls over')
      this.touchedAtMs = this.#time.nowMs
      this.#cancel = this.#time.after(this.#dice.between(50, 5000), () =>
        this.touch(true, 'it gets up again'),
      )
    })
  }

  #relapse(verb: 'start' | 'stop'): void {
    this.#cancelRelapse = this.#time.after(this.#dice.between(100, 60_000), () => {
      if (this.isIll && !this.isBusy) this.touch(verb === 'stop', 'by itself')
    })
  }

  #become(state: State, why: string): void {
    if (this.state !== state) this.#sinceMs = this.#time.nowMs
    this.state = state
    this.isLive = state !== 'stopped' && state !== 'failed'
    this.#onChange(this, why)
  }
}
