/** Ctrl-C, and what means the same: somebody wants the run to end, or the terminal has gone away. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface Interruption extends Disposable {
  /** Aborted by the first of the signals. */
  readonly signal: AbortSignal
}

/**
 * W5: the first signal is told to `onFirst` and aborts; a second one calls `onSecond`, which ends the process.
 * Until disposed no signal ends it by itself.
 */
export function listenForInterruption(onFirst: () => void, onSecond: () => void): Interruption {
  const controller = new AbortController()
  const onSignal = (): void => {
    if (controller.signal.aborted) return onSecond()
    controller.abort()
    onFirst()
  }
  for (const signal of signals) process.on(signal, onSignal)
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
