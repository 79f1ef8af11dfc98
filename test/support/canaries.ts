import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Each is printed in its own way; the last ten are known by the file of secrets only. */
export const canaries = Array.from(
  { length: 20 },
  (_, at) => `canary-${String(at).padStart(2, '0')}-Wq7x9Lm2`,
)

/** What a shell has to print so that the canary is in it. */
const ways: ((canary: string) => string)[] = [
  (canary) => `echo "password=${canary}"`,
  (canary) => `echo '{"api_key": "${canary}"}'`,
  (canary) => `echo "Authorization: Bearer ${canary}" >&2`,
  (canary) => `echo "cannot reach amqp://filo:${canary}@broker:5672/lists"`,
  (canary) => `echo "DB_PASSWD='${canary}' was refused" >&2`,
  (canary) => `printf -- '-----BEGIN PRIVATE KEY-----\\n${canary}\\n-----END PRIVATE KEY-----\\n'`,
  (canary) => `echo "mysql --password ${canary} -e stop"`,
  (canary) => `printf 'secret: '; sleep 0.3; echo ${canary}`,
  (canary) => `echo "identified by '${canary}'"`,
  (canary) => `echo "token=${canary}&user=x"`,
  (canary) => `echo "${canary}"`,
  (canary) => `printf ${canary.slice(0, 9)}; sleep 0.3; echo '${canary.slice(9)}'`,
  (canary) => `echo "login as root/${canary} failed" >&2`,
  (canary) => `printf '\\033[1m${canary}\\033[0m\\n'`,
  (canary) => `head -c 16380 /dev/zero | tr '\\0' x; echo "${canary}"`,
  (canary) => `printf '${canary}'`,
  (canary) => `echo "${Buffer.from(canary).toString('base64')}"`,
  (canary) => `echo "a${canary}b"`,
  (canary) => `printf 'x\\r${canary}\\r'`,
  (canary) => `(sleep 0.2; echo "from behind: ${canary}") & wait`,
]

/** A script that prints every canary, and does what it is for, or fails. */
function script(path: string, does: string): string[] {
  writeFileSync(path, ['#!/bin/sh', ...canaries.map((canary, at) => ways[at]!(canary)), does, ''].join('\n'))
  chmodSync(path, 0o755)
  return [path]
}

/** A service whose scripts print every canary; its start may fail. */
export function printingCommand(dir: string, failing = false) {
  const state = join(dir, 'up')
  return {
    start: script(join(dir, 'start'), failing ? `echo "password=${canaries[0]}"; exit 1` : `touch ${state}`),
    stop: script(join(dir, 'stop'), `rm -f ${state}`),
    // LSB: 0 runs, 3 does not; what it prints is shown as the service's detail.
    status: script(join(dir, 'status'), `test -e ${state} && exit 0; exit 3`),
  }
}

/** The canaries, and the base64 of them, that stand in a text. */
export function leaksIn(text: string): string[] {
  return canaries.filter(
    (canary) => text.includes(canary) || text.includes(Buffer.from(canary).toString('base64')),
  )
}

/** The same for all files below a folder. */
export function leaksBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .flatMap((file) => leaksIn(readFileSync(file, 'latin1')).map((canary) => `${canary} in ${file}`))
}
