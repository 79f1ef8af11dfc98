import type { Clock } from '@filo/protocol'

const timeUp = 'time is up'

/** A signal that aborts when a time is up by the given clock, or when `other`, an operator's abort, does. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal
  readonly #timer = new AbortController()

  constructor(clock: Clock, startedAt: number, timeoutMs: number, other?: AbortSignal) {
    const timing = new AbortController()
    this.signal = other === undefined ? timing.signal : AbortSignal.any([timing.signal, other])
    const leftMs = startedAt + timeoutMs - clock.now()
    if (!(leftMs > 0)) timing.abort(timeUp)
    else
      void clock.sleep(leftMs, this.#timer.signal).then(
        () => timing.abort(timeUp),
        () => {},
      )
  }

  /** What ended the waiting first, for a sentence that goes on with what was seen. */
  get words(): string {
    return this.signal.reason === timeUp ? 'its time was up' : 'an operator cut it short'
  }

  [Symbol.dispose](): void {
    // With a reason of its own: an error would be made, with a stack that nobody reads.
    this.#timer.abort('it is over')
  }
}
