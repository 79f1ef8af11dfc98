import { ambient } from './ambient.ts'

// In place of node:timers/promises: the turns of the world that is being played.

export * from 'node:timers/promises'

export function setImmediate(): Promise<void> {
  return new Promise((resolve) => ambient().time.nextTurn(resolve))
}
