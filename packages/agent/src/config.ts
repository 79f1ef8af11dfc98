import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  formatSigningKey,
  HostDefinition,
  makeKeyPair,
  parseSigningKey,
  parseVerifyingKey,
  mapFiles,
  readSecrets,
  readTls,
  TlsFiles,
  TlsUnusable,
} from '@filo/protocol'
import * as z from 'zod'
import type { AgentIdentity } from './agent.ts'
import { policyFileOf } from './policy-file.ts'
import { parseYaml } from './yaml-text.ts'

/** What `filo agent-config HOST` writes for a host: its slice of the fleet file, and whom it obeys. */
export const AgentConfig = z.strictObject({
  ...HostDefinition.shape,
  /** URLs of the broker, tried in turn. */
  broker: z.array(z.string()).min(1),
  /** The files of TLS to it; relative to this file. */
  tls: TlsFiles.optional(),
  /** The file of the agent's private key; relative to this file. */
  key: z.string().min(1),
  /** The public keys (PEM) of the coordinators that this agent obeys. */
  trusted: z.array(z.string()).min(1),
  /** The user that the agent runs as, who runs by sudo what needs root; absent: it runs everything as itself. */
  user: z.string().min(1).optional(),
  /** A file with the secrets of this host, one a line: they are in nothing that the agent writes or says. */
  secrets: z.string().startsWith('/').optional(),
})
export type AgentConfig = z.infer<typeof AgentConfig>

/** An agent configuration that cannot be used; the message has the file and each fault. */
export class ConfigurationError extends Error {
  override name = 'ConfigurationError'
}

export interface ReadConfig {
  readonly broker: readonly string[]
  readonly tls: TlsFiles | undefined
  readonly definition: HostDefinition
  readonly identity: AgentIdentity
  readonly secrets: readonly string[]
  /** Who it runs as, and by sudo what needs root; undefined: everything as itself. */
  readonly user: string | undefined
  /** Where the host's own policy is, if it has one. */
  readonly policyFile: string
}

function parseConfig(file: string): AgentConfig {
  const parsed = AgentConfig.safeParse(readYaml(file, readText(file, 'the configuration')))
  if (!parsed.success) {
    throw new ConfigurationError(
      `${file} is no agent configuration:\n${z.prettifyError(parsed.error)}\nWrite it anew with: filo agent-config HOST`,
    )
  }
  return parsed.data
}

/**
 * The fingerprint of the agent's own key (SHA-256 of its SPKI DER form, hexadecimal). Makes the key where there is none: it never leaves
 * its host, and the group that may read the configuration may read it. Throws ConfigurationError.
 */
export function showFingerprint(file: string): string {
  const keyFile = resolve(dirname(file), parseConfig(file).key)
  if (!existsSync(keyFile)) {
    try {
      writeFileSync(keyFile, formatSigningKey(makeKeyPair().signing), {
        mode: 0o600,
        flag: 'wx',
        flush: true,
      })
      shareWithGroup(keyFile, file)
    } catch (error) {
      throw new ConfigurationError(`the agent's key cannot be made: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }
  return readKey(keyFile, () => parseSigningKey(readText(keyFile, "the agent's private key"))).id
}

/** An agent that is not root reads what root has made for it. */
function shareWithGroup(keyFile: string, configFile: string): void {
  const { gid, mode } = statSync(configFile)
  if (process.geteuid?.() !== 0 || (mode & 0o040) === 0) return
  chownSync(keyFile, 0, gid)
  chmodSync(keyFile, 0o640)
}

/** Reads an agent's configuration and keys. Throws ConfigurationError. */
export function readConfig(file: string): ReadConfig {
  const { broker, tls, key, trusted, secrets, user, ...definition } = parseConfig(file)
  const keyFile = resolve(dirname(file), key)
  if (!existsSync(keyFile)) {
    throw new ConfigurationError(
      `there is no key ${keyFile} yet: make it by filo-agent --fingerprint, and have the fingerprint confirmed by filo enroll ${definition.host}, where filo is`,
    )
  }
  const trustedKeys = trusted.map((pem, at) =>
    readKey(`${file}: trusted[${at}]`, () => parseVerifyingKey(pem)),
  )
  const byId = new Map(trustedKeys.map((trustedKey) => [trustedKey.id, trustedKey]))
  const signing = readKey(keyFile, () => parseSigningKey(readText(keyFile, "the agent's private key")))
  return {
    broker,
    tls: tls && checkedFiles(mapFiles(tls, (path) => resolve(dirname(file), path))),
    definition,
    identity: { key: signing, trusted: (id) => byId.get(id) },
    secrets: secrets === undefined ? [] : secretsIn(secrets),
    user,
    policyFile: policyFileOf(file),
  }
}

function checkedFiles(files: TlsFiles): TlsFiles {
  try {
    readTls(files)
    return files
  } catch (error) {
    if (!(error instanceof TlsUnusable)) throw error
    throw new ConfigurationError(error.message, { cause: error })
  }
}

function secretsIn(file: string): string[] {
  try {
    return readSecrets(file)
  } catch (error) {
    throw new ConfigurationError(
      `${(error as Error).message}\nPut it right, one secret a line, or leave it empty`,
      {
        cause: error,
      },
    )
  }
}

function readKey<Key>(where: string, read: () => Key): Key {
  try {
    return read()
  } catch (error) {
    if (error instanceof ConfigurationError) throw error
    throw new ConfigurationError(`${where}: not an Ed25519 key in PEM: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function readYaml(file: string, text: string): unknown {
  try {
    return parseYaml(text)
  } catch (error) {
    throw new ConfigurationError(`${file} is no YAML: ${(error as Error).message}`, { cause: error })
  }
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigurationError(`cannot read ${what}: ${(error as Error).message}`, { cause: error })
  }
}
