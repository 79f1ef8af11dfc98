import type { Dice } from '../../support/dice.ts'
import type { File } from '../world/disk.ts'
import type { Process } from '../world/process.ts'
import type { Time } from '../world/time.ts'

/** What the product reaches through Node's modules rather than being handed it: of the play that is going on. */
export interface Ambient {
  readonly time: Time
  readonly entropy: Dice
  /** Whether messages are signed by Ed25519, rather than by something of the same shape that costs less. */
  readonly signsInEarnest: boolean
  /** The process that has named a path, and the file there. */
  find(path: string): { readonly process: Process; readonly file: File }
}

let current: Ambient | undefined

export function setAmbient(played: Ambient | undefined): void {
  current = played
}

export function ambient(): Ambient {
  if (current === undefined) throw new Error('nothing is being played')
  return current
}
