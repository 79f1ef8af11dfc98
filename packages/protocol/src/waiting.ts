import { setTimeout as delay } from 'node:timers/promises'

export const partingMs = 1000

/** What `promise` comes to, or what `late` makes once `ms` have passed. */
export async function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  const { promise: timeUp, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), ms)
  try {
    return await Promise.race([promise, timeUp])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits for a parting word to a broker that may be frozen or gone (C3); whether it was heard is all the same. */
export async function briefly(parting: Promise<unknown>, ms = partingMs): Promise<void> {
  await Promise.race([parting, delay(ms, undefined, { ref: false })]).catch(() => {})
}

/** Resolves once `signal` is aborted; never where it is not. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
