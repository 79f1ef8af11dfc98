import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { Sha256 } from './names.ts'

export function sha256(bytes: Uint8Array | string): Sha256 {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The SHA-256 of a value's canonical JSON (RFC 8785): equal values have equal digests on every machine. */
export function digest(value: unknown): Sha256 {
  const text = canonicalize(value)
  if (text === undefined) throw new TypeError('a value without JSON has no digest')
  return sha256(text)
}
