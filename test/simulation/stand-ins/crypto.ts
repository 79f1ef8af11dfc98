import * as real from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { ambient } from './ambient.ts'

// In place of node:crypto: entropy from the play's dice, and signatures that cost little.

export * from 'node:crypto'

export function randomUUID(): string {
  return ambient().entropy.id()
}

export function randomBytes(size: number): Buffer {
  return ambient().entropy.bytes(size)
}

export function randomInt(limit: number): number {
  return ambient().entropy.between(0, limit - 1)
}

const secrets = new WeakMap<KeyObject, Buffer>()

/** Key pairs that are also known to this module by a secret. */
export function makeSigners(count: number): { privateKey: KeyObject; publicKey: KeyObject }[] {
  return Array.from({ length: count }, (_, at) => {
    const pair = keyPairOf(at)
    const secret = Buffer.alloc(32, at)
    secrets.set(pair.privateKey, secret)
    secrets.set(pair.publicKey, secret)
    return pair
  })
}

/** The same ones in every process, so that the same seed gives the same bytes. */
function keyPairOf(number: number): { privateKey: KeyObject; publicKey: KeyObject } {
  // PKCS #8 of an Ed25519 key (RFC 8410, section 7): a fixed beginning, then the 32 bytes of the seed.
  const beginning = Buffer.from('302e020100300506032b657004220420', 'hex')
  const seed = real.createHash('sha256').update(`key ${number} of the simulation`).digest()
  const privateKey = real.createPrivateKey({
    key: Buffer.concat([beginning, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  return { privateKey, publicKey: real.createPublicKey(privateKey) }
}

export function sign(algorithm: null, data: Uint8Array, key: KeyObject): Buffer {
  const secret = secrets.get(key)
  if (secret === undefined || ambient().signsInEarnest) return real.sign(algorithm, data, key)
  return seal(secret, data)
}

export function verify(algorithm: null, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  const secret = secrets.get(key)
  if (secret === undefined || ambient().signsInEarnest) return real.verify(algorithm, data, key, signature)
  return seal(secret, data).equals(signature)
}

/** 64 bytes, as long as a signature by Ed25519. */
function seal(secret: Uint8Array, data: Uint8Array): Buffer {
  return real.hash('sha512', Buffer.concat([secret, data]), 'buffer')
}
