import type { KeyPair } from '@filo/protocol'
import { createHash, type KeyObject } from 'node:crypto'
import { makeSigners, sign } from './stand-ins/crypto.ts'

/** Everybody's keys; the same in all plays, for keys cost more to make than anything that is done with them. */
const pairs: readonly KeyPair[] = makeSigners(24).map(({ privateKey, publicKey }) => {
  const id = idOf(publicKey)
  return { signing: { id, privateKey }, verifying: { id, publicKey } }
})

export const coordinatorKeys: readonly KeyPair[] = pairs.slice(0, 2)
/** Whom nobody trusts. */
export const strangerKeys: KeyPair = pairs[2]!

export function hostKeys(at: number): KeyPair {
  return pairs[3 + at]!
}

/** How whoever has a key signs with it. */
export function signerOf({ signing }: KeyPair): {
  readonly id: string
  readonly sign: (bytes: Buffer) => Buffer
} {
  return { id: signing.id, sign: (bytes) => sign(null, bytes, signing.privateKey) }
}

/** How whoever knows no more of a key than its name makes up what looks like its signature. */
export function nameOnly({ signing }: KeyPair): ReturnType<typeof signerOf> {
  return { id: signing.id, sign: (bytes) => sign(null, bytes, strangerKeys.signing.privateKey) }
}

function idOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}
