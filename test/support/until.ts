import { setTimeout as delay } from 'node:timers/promises'

/**
 * Resolves with the first truthy value of `condition`; rejects, saying what was awaited, when there is none in
 * time. A condition that throws does not hold yet; its last error becomes the cause.
 *
 * @param what finishes the sentence "waited for …"
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 60_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<NonNullable<Awaited<T>>> {
  const deadline = performance.now() + timeoutMs
  let cause: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, cause === undefined ? {} : { cause })
    }
    await delay(intervalMs)
  }
}
