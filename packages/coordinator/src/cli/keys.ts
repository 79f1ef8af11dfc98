import { keyFiles, makeKeys, readPublicKey } from '../engine/keys.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printJson, printLines } from './print.ts'
import { formatTable } from './table.ts'

interface KeyRow {
  readonly whose: string
  readonly made: boolean
  /** SHA-256 of the public key's SPKI DER form, hexadecimal. */
  readonly fingerprint: string
  readonly file: string
}

/** Makes the keys that are missing, and shows all. Never replaces one: its agent would stop obeying. */
export async function keys(context: Context): Promise<ExitCode> {
  const { fleet, dir } = loadFleet(context)
  const { stdout, format } = context
  if (fleet.broker === 'local') {
    if (format === 'json') printJson(stdout, { keys: [] })
    else printLines(stdout, ['broker: local needs no key files: keys are made in memory, for each command'])
    return exitCodes.done
  }
  const made = new Set(makeKeys(dir.keys, fleet.hosts.keys()))
  const rows = [undefined, ...fleet.hosts.keys()].map((host): KeyRow => {
    const whose = host ?? 'coordinator'
    const file = keyFiles(dir.keys, host).open
    return { whose, made: made.has(whose), fingerprint: readPublicKey(dir.keys, host).id, file }
  })
  if (format === 'json') printJson(stdout, { keys: rows })
  else {
    const cells = rows.map((row) => [row.whose, row.made ? 'made now' : 'there', row.fingerprint])
    printLines(stdout, formatTable(['whose', '', 'fingerprint (SHA-256)'], cells))
    if (made.size > 0) {
      const words = `In ${dir.keys}. Next, for each host: filo agent-config HOST -o DIR, and copy DIR to it.`
      printLines(stdout, ['', words])
    }
  }
  return exitCodes.done
}
