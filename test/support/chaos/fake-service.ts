import type { InstanceName } from '@filo/protocol'
import type { Attempt, Sighting } from '../../../packages/agent/src/managers/manager.ts'
import type { Dice } from './dice.ts'
import type { VirtualTime } from './virtual-time.ts'

/** How a service takes a request. */
type Manner = 'obeys' | 'lingers' | 'refuses' | 'lies' | 'obeys-and-complains' | 'breaks'

const illManners: readonly (readonly [Manner, number])[] = [
  ['obeys', 0.7],
  ['lingers', 0.1],
  ['refuses', 0.05],
  ['lies', 0.04],
  ['obeys-and-complains', 0.06],
  ['breaks', 0.05],
]

/** A service that lives on whatever becomes of the agent, and misbehaves by dice while it is `ill`. */
export class FakeService {
  readonly name: InstanceName
  isIll = true
  /** How long it takes to obey at most, milliseconds. */
  obeysWithinMs = 3000
  state: 'running' | 'stopped' | 'starting' | 'stopping' | 'failed'
  isLive: boolean
  /** When somebody last changed it by hand. */
  touchedAtMs = Number.NEGATIVE_INFINITY
  readonly #time: VirtualTime
  readonly #dice: Dice
  #blindUntilMs = 0
  #cancel = (): void => {}

  constructor(name: InstanceName, isRunning: boolean, time: VirtualTime, dice: Dice) {
    this.name = name
    this.#time = time
    this.#dice = dice
    this.state = isRunning ? 'running' : 'stopped'
    this.isLive = isRunning
  }

  /** What its manager says of it; while it cannot be seen, nothing. */
  sight(): Sighting {
    if (this.isIll && this.#time.nowMs < this.#blindUntilMs) {
      return { state: 'unknown', live: 'unknown', detail: 'its status does not answer' }
    }
    return { state: this.state, live: this.isLive ? 'yes' : 'no', detail: `it is ${this.state}` }
  }

  hide(ms: number): void {
    this.#blindUntilMs = this.#time.nowMs + ms
  }

  /** Whether a request is still being carried out. */
  get isBusy(): boolean {
    return this.state === 'starting' || this.state === 'stopping'
  }

  /** An operator does it without Filo. */
  touch(isRunning: boolean): void {
    this.#become(isRunning ? 'running' : 'stopped')
    this.touchedAtMs = this.#time.nowMs
  }

  /** A manager's request, as of now; calls back when the manager has answered. */
  request(verb: 'start' | 'stop', answer: (attempt: Attempt) => void): void {
    const manner = this.isIll ? this.#dice.weigh(illManners) : 'obeys'
    const accepted = manner !== 'refuses' && manner !== 'obeys-and-complains'
    const attempt = { accepted, detail: `${verb}: ${accepted ? 'ok' : 'no'}` }
    if (manner === 'refuses' || manner === 'lies') {
      this.#time.after(this.#dice.between(5, 500), () => answer(attempt))
      return
    }
    const lastsMs =
      manner === 'lingers' ? this.#dice.between(5000, 40_000) : this.#dice.between(5, this.obeysWithinMs)
    const goal = verb === 'start' ? 'running' : 'stopped'
    this.#become(verb === 'start' ? 'starting' : 'stopping')
    this.#cancel = this.#time.after(lastsMs, () => {
      this.#become(manner === 'breaks' ? 'failed' : goal)
      if (manner === 'breaks') this.isLive = verb === 'stop' && this.#dice.happens(0.5)
    })
    this.#time.after(manner === 'lingers' ? 5 : lastsMs, () => answer(attempt))
  }

  #become(state: FakeService['state']): void {
    this.#cancel()
    this.state = state
    this.isLive = state !== 'stopped' && state !== 'failed'
  }
}
