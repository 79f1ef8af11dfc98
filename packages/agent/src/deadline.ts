import type { Clock } from '@filo/protocol'

/** A signal that aborts when a time is up by the given clock, or when `other` does. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal
  readonly #timer = new AbortController()

  constructor(clock: Clock, startedAt: number, timeoutMs: number, other?: AbortSignal) {
    const timeUp = new AbortController()
    this.signal = other === undefined ? timeUp.signal : AbortSignal.any([timeUp.signal, other])
    const leftMs = startedAt + timeoutMs - clock.now()
    if (!(leftMs > 0)) timeUp.abort()
    else
      void clock.sleep(leftMs, this.#timer.signal).then(
        () => timeUp.abort(),
        () => {},
      )
  }

  [Symbol.dispose](): void {
    this.#timer.abort()
  }
}
