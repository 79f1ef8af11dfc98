import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import {
  formatSigningKey,
  formatVerifyingKey,
  makeKeyPair,
  parseSigningKey,
  parseVerifyingKey,
  publicKeyOf,
  type KeyPair,
  type SigningKey,
  type VerifyingKey,
} from '@filo/protocol'

// K1. A host's key is accepted by an operator who has seen its fingerprint, or was made here and brought to the host.
// K2. While the coordinator's key is being replaced both sign; from its revocation on the old one signs nothing.
// K3. A fingerprint that was revoked is accepted of nobody any more.

/** A key is not there or cannot be read; the message says which, and how to make it. */
export class KeyError extends Error {
  override name = 'KeyError'
}

const ownStem = 'coordinator'
const oldStem = 'coordinator-old'
const nextStem = 'coordinator-next'

function filesOf(keysDir: string, stem: string): { readonly secret: string; readonly open: string } {
  return { secret: join(keysDir, `${stem}.key`), open: join(keysDir, `${stem}.pub`) }
}

/** Where the private and public key of the coordinator, or of a host's agent, are. */
export function keyFiles(keysDir: string, host?: string): { readonly secret: string; readonly open: string } {
  return filesOf(keysDir, host === undefined ? ownStem : join('hosts', host))
}

/** Makes the coordinator's key, where there is none. Gives it if it was made. */
export function makeCoordinatorKey(keysDir: string): VerifyingKey | undefined {
  return makeMissing(keyFiles(keysDir))
}

/** Makes a key for a host, to be taken there, where none is known of it. Gives it if it was made. */
export function makeHostKey(keysDir: string, host: string): VerifyingKey | undefined {
  return makeMissing(keyFiles(keysDir, host))
}

function makeMissing(files: { readonly secret: string; readonly open: string }): VerifyingKey | undefined {
  if (existsSync(files.secret) || existsSync(files.open)) return undefined
  const pair = makeKeyPair()
  writePair(files, pair)
  return pair.verifying
}

function writePair(
  { secret, open }: { readonly secret: string; readonly open: string },
  pair: KeyPair,
): void {
  mkdirSync(dirname(secret), { recursive: true, mode: 0o700 })
  writeFileSync(secret, formatSigningKey(pair.signing), { mode: 0o600, flag: 'wx', flush: true })
  writeFileSync(open, formatVerifyingKey(pair.verifying), { mode: 0o644, flag: 'wx', flush: true })
}

/** The coordinator's own key. Throws KeyError. */
export function readCoordinatorKey(keysDir: string): SigningKey {
  return readKey(keyFiles(keysDir).secret, "the coordinator's key", parseSigningKey, 'filo keys init')
}

/** The key that the coordinator's own replaces, until it is revoked (K2). Throws KeyError. */
export function readOldKey(keysDir: string): SigningKey | undefined {
  const { secret } = filesOf(keysDir, oldStem)
  if (!existsSync(secret)) return undefined
  const old = readKey(secret, "the coordinator's old key", parseSigningKey, 'filo keys rotate')
  // A rotation that ended in its midst has copied the key, and not replaced it; a revocation has left its file.
  const isNone = old.id === readCoordinatorKey(keysDir).id || isRevoked(keysDir, old.id)
  return isNone ? undefined : old
}

/** The keys that sign what the coordinator says: its own first. Throws KeyError. */
export function readCoordinatorKeys(keysDir: string): SigningKey[] {
  const old = readOldKey(keysDir)
  return [readCoordinatorKey(keysDir), ...(old === undefined ? [] : [old])]
}

/** The coordinator's public key, which agents are to obey. Throws KeyError. */
export function readCoordinatorPublicKey(keysDir: string): VerifyingKey {
  return publicKeyOf(readCoordinatorKey(keysDir))
}

/** The public key of a host's agent; undefined where none has been accepted. Throws KeyError. */
export function readHostKey(keysDir: string, host: string): VerifyingKey | undefined {
  const { open } = keyFiles(keysDir, host)
  if (!existsSync(open)) return undefined
  const key = readKey(open, `the key of ${host}`, parseVerifyingKey, `filo enroll ${host}`)
  return isRevoked(keysDir, key.id) ? undefined : key
}

/** The public key of each host's agent, where one has been accepted. Throws KeyError. */
export function readHostKeys(keysDir: string, hosts: Iterable<string>): Map<string, VerifyingKey> {
  const known = [...hosts].map((host) => [host, readHostKey(keysDir, host)] as const)
  return new Map(known.filter((entry): entry is [string, VerifyingKey] => entry[1] !== undefined))
}

/** The private key of a host's agent, where it was made here and is to be taken there. Throws KeyError. */
export function readHostSecret(keysDir: string, host: string): SigningKey | undefined {
  const { secret } = keyFiles(keysDir, host)
  if (!existsSync(secret)) return undefined
  return readKey(secret, `the private key of ${host}`, parseSigningKey, `filo enroll ${host}`)
}

/** Takes a key for the host's own from now on (K1). The caller has had its fingerprint confirmed. */
export function acceptHostKey(keysDir: string, host: string, key: VerifyingKey): void {
  const { secret, open } = keyFiles(keysDir, host)
  mkdirSync(dirname(open), { recursive: true, mode: 0o700 })
  replaceFile(open, formatVerifyingKey(key), 0o644)
  // One that was made here is of no use any more, unless it is this one.
  if (existsSync(secret) && readHostSecret(keysDir, host)?.id !== key.id) rmSync(secret)
}

/** Makes the coordinator another key; the one before signs beside it until it is revoked (K2). */
export function rotateCoordinatorKey(keysDir: string): VerifyingKey {
  const [own, old, next] = [ownStem, oldStem, nextStem].map((stem) => filesOf(keysDir, stem)) as [
    ReturnType<typeof filesOf>,
    ReturnType<typeof filesOf>,
    ReturnType<typeof filesOf>,
  ]
  for (const file of [next.secret, next.open]) rmSync(file, { force: true })
  const pair = makeKeyPair()
  writePair(next, pair)
  // Wherever this ends, `coordinator.key` is a key that was in use or is from now on, and no key in use is lost.
  const before = readCoordinatorKey(keysDir)
  replaceFile(old.secret, formatSigningKey(before), 0o600)
  replaceFile(old.open, formatVerifyingKey(publicKeyOf(before)), 0o644)
  renameSync(next.secret, own.secret)
  renameSync(next.open, own.open)
  return pair.verifying
}

/** Forgets the key that the coordinator's own has replaced, for good (K2, K3). */
export function revokeOldKey(keysDir: string, { id }: SigningKey): void {
  noteRevoked(keysDir, id)
  const { secret, open } = filesOf(keysDir, oldStem)
  rmSync(secret)
  rmSync(open, { force: true })
}

/** Believes nothing any more that the key of a host has signed (K3). */
export function revokeHostKey(keysDir: string, host: string, { id }: VerifyingKey): void {
  noteRevoked(keysDir, id)
  const { secret, open } = keyFiles(keysDir, host)
  rmSync(open)
  rmSync(secret, { force: true })
}

const revokedFile = (keysDir: string): string => join(keysDir, 'revoked')

function noteRevoked(keysDir: string, fingerprint: string): void {
  appendFileSync(revokedFile(keysDir), `${fingerprint}\n`, { mode: 0o600, flush: true })
}

/** Whether a fingerprint was revoked (K3). */
export function isRevoked(keysDir: string, fingerprint: string): boolean {
  const file = revokedFile(keysDir)
  return existsSync(file) && readFileSync(file, 'utf8').split('\n').includes(fingerprint)
}

function replaceFile(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode, flush: true })
  renameSync(`${file}.new`, file)
}

function readKey<Key>(file: string, whose: string, parse: (pem: string) => Key, remedy: string): Key {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new KeyError(`${whose} cannot be read: ${(error as Error).message}; see: ${remedy}`, {
      cause: error,
    })
  }
}
