import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  formatSigningKey,
  formatVerifyingKey,
  makeKeyPair,
  parseSigningKey,
  parseVerifyingKey,
  type SigningKey,
  type VerifyingKey,
} from '@filo/protocol'

/** A key is not there or cannot be read; the message says which, and how to make it. */
export class KeyError extends Error {
  override name = 'KeyError'
}

/** Where the private and public key of the coordinator, or of a host's agent, are. */
export function keyFiles(keysDir: string, host?: string): { readonly secret: string; readonly open: string } {
  const stem = host === undefined ? join(keysDir, 'coordinator') : join(keysDir, 'hosts', host)
  return { secret: `${stem}.key`, open: `${stem}.pub` }
}

/** Makes the keys that are not there yet: the coordinator's, and one for each host. Gives whose were made. */
export function makeKeys(keysDir: string, hosts: Iterable<string>): string[] {
  const made: string[] = []
  for (const host of [undefined, ...hosts]) {
    const { secret, open } = keyFiles(keysDir, host)
    if (existsSync(secret) || existsSync(open)) continue
    mkdirSync(dirname(secret), { recursive: true, mode: 0o700 })
    const pair = makeKeyPair()
    writeFileSync(secret, formatSigningKey(pair.signing), { mode: 0o600, flag: 'wx' })
    writeFileSync(open, formatVerifyingKey(pair.verifying), { mode: 0o644, flag: 'wx' })
    made.push(host ?? 'coordinator')
  }
  return made
}

/** The coordinator's own key. Throws KeyError. */
export function readCoordinatorKey(keysDir: string): SigningKey {
  return readKey(keyFiles(keysDir).secret, "the coordinator's key", parseSigningKey)
}

/** The public key of a host's agent, or the coordinator's own. Throws KeyError. */
export function readPublicKey(keysDir: string, host?: string): VerifyingKey {
  const whose = host === undefined ? "the coordinator's public key" : `the key of ${host}`
  return readKey(keyFiles(keysDir, host).open, whose, parseVerifyingKey)
}

/** The public key of each host's agent. Throws KeyError for the first that is not there. */
export function readHostKeys(keysDir: string, hosts: Iterable<string>): Map<string, VerifyingKey> {
  return new Map([...hosts].map((host) => [host, readPublicKey(keysDir, host)]))
}

/** The private key of a host's agent, to be taken there. Throws KeyError. */
export function readHostSecret(keysDir: string, host: string): SigningKey {
  return readKey(keyFiles(keysDir, host).secret, `the private key of ${host}`, parseSigningKey)
}

function readKey<Key>(file: string, whose: string, parse: (pem: string) => Key): Key {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new KeyError(
      `${whose} cannot be read: ${(error as Error).message}; make what is missing with: filo keys`,
      {
        cause: error,
      },
    )
  }
}
