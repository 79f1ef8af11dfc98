import { systemClock } from '@filo/protocol'
import {
  isRevoked,
  keyFiles,
  makeCoordinatorKey,
  makeHostKey,
  readCoordinatorPublicKey,
  readHostKeys,
  readOldKey,
  revokeHostKey,
  revokeOldKey,
  rotateCoordinatorKey,
} from '../engine/keys.ts'
import { survey } from '../engine/survey.ts'
import { listing } from '../fleet/listing.ts'
import { confirm, refuseUnlessAskable } from './confirm.ts'
import { openConnection, openJournal } from './connection.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { printJson, printLines } from './print.ts'
import { formatTable } from './table.ts'

interface KeyRow {
  /** `coordinator`, or a host. */
  readonly whose: string
  readonly is: 'in use' | 'being replaced' | 'missing'
  /** SHA-256 of the public key's SPKI DER form, hexadecimal. */
  readonly fingerprint: string | null
  readonly file: string
}

/** Makes the coordinator's key, and with `hosts` one for each host that has none. Replaces nothing. */
export async function initKeys(context: Context, { hosts }: { readonly hosts?: true }): Promise<ExitCode> {
  const loaded = loadFleetWithKeys(context)
  const { fleet, dir } = loaded
  const made = [
    makeCoordinatorKey(dir.keys),
    ...(hosts ? [...fleet.hosts.keys()].map((host) => makeHostKey(dir.keys, host)) : []),
  ].filter((key) => key !== undefined)
  for (const { id } of made) noteChange(context, loaded, 'made', 'a key', id)
  return print(context, loaded)
}

/** Shows whose keys are known here, and what is missing. */
export async function showKeys(context: Context): Promise<ExitCode> {
  return print(context, loadFleetWithKeys(context))
}

/** Makes the coordinator another key. Both sign until the old one is revoked. */
export async function rotateKeys(context: Context): Promise<ExitCode> {
  const loaded = loadFleetWithKeys(context)
  const { keys } = loaded.dir
  const old = readOldKey(keys)
  if (old !== undefined) {
    throw new Exit(
      exitCodes.refused,
      `the key is being replaced already: ${old.id} signs beside it. Once all agents have the new one: filo keys revoke ${old.id}`,
    )
  }
  const before = readCoordinatorPublicKey(keys)
  const { id } = rotateCoordinatorKey(keys)
  noteChange(context, loaded, 'rotated', 'coordinator', id)
  printLines(context.stdout, [
    `the new key is ${id}; until it is revoked ${before.id} signs beside it, and agents go by the one that they know`,
    'Next, for each host: filo agent-config HOST -o DIR, copy DIR to its /etc/filo, and there: systemctl restart filo-agent',
    `filo doctor names the hosts that still go by the old one. Then: filo keys revoke ${before.id}`,
  ])
  return exitCodes.done
}

/** Revokes the coordinator's old key, or a host's, by its fingerprint or the beginning of it. */
export async function revokeKey(
  context: Context,
  fingerprint: string,
  choices: { readonly yes?: true },
): Promise<ExitCode> {
  refuseUnlessAskable(context, choices)
  const loaded = loadFleetWithKeys(context)
  const { fleet, dir } = loaded
  const begins = ({ id }: { readonly id: string }): boolean =>
    fingerprint.length >= 8 && id.startsWith(fingerprint.toLowerCase())
  if (begins(readCoordinatorPublicKey(dir.keys))) {
    throw new Exit(
      exitCodes.refused,
      'that is the key by which this coordinator is known; first have another one: filo keys rotate',
    )
  }
  const old = readOldKey(dir.keys)
  if (old !== undefined && begins(old)) {
    await confirm(context, choices, async () => {
      const still = await hostsGoingBy(context, loaded, old.id)
      const loss =
        still.length === 0
          ? 'every agent has the new one'
          : `these agents do not go by the new one yet, or do not answer: ${listing(still)}. They will take nothing from here until they are configured anew, and obey whoever has the old key until then`
      return [`the coordinator's old key ${old.id} signs nothing any more, for good; ${loss}`]
    })
    revokeOldKey(dir.keys, old)
    noteChange(context, loaded, 'revoked', 'coordinator', old.id)
    printLines(context.stdout, [`revoked ${old.id}`])
    return exitCodes.done
  }
  const [found] = [...readHostKeys(dir.keys, fleet.hosts.keys())].filter(([, key]) => begins(key))
  if (found === undefined) {
    const is = isRevoked(dir.keys, fingerprint) ? 'is revoked already' : 'is the fingerprint of no key here'
    throw new Exit(exitCodes.nothingMatched, `${fingerprint} ${is}: filo keys show`)
  }
  const [host, key] = found
  await confirm(context, choices, () => [
    `nothing that is signed by ${key.id} is believed any more: ${host} does not answer until another key of it is accepted`,
  ])
  revokeHostKey(dir.keys, host, key)
  noteChange(context, loaded, 'revoked', host, key.id)
  printLines(context.stdout, [
    `revoked ${key.id}`,
    `Take its account away from the broker too. Once ${host} is trusted again, and has another key: filo enroll ${host}`,
  ])
  return exitCodes.done
}

/** With `broker: local` keys are made in memory, for each command. Throws Exit. */
export function loadFleetWithKeys(context: Context): LoadedFleet {
  const loaded = loadFleet(context)
  if (loaded.fleet.broker !== 'local') return loaded
  throw new Exit(
    exitCodes.refused,
    `${loaded.file} says "broker: local": it needs no keys in files, they are made in memory for each command`,
  )
}

export function noteChange(
  { operator }: Context,
  loaded: LoadedFleet,
  change: 'made' | 'accepted' | 'rotated' | 'revoked',
  whose: string,
  fingerprint: string,
): void {
  using journal = openJournal(loaded)
  const data = { operator, outcome: 'success', change, fingerprint } as const
  journal.note({ type: 'filo.key.changed', subject: whose, data })
}

async function hostsGoingBy(context: Context, loaded: LoadedFleet, id: string): Promise<string[]> {
  await using connection = await openConnection(context, loaded)
  const hosts = [...loaded.fleet.hosts.keys()]
  const wanted = hosts.map((host) => ({ host }))
  const seen = await survey(connection.link, systemClock, wanted, 5000)
  return hosts.filter((host) => {
    const sight = seen.hosts.get(host)
    return !sight?.answered || sight.takenBy === id
  })
}

function print({ format, stdout }: Context, loaded: LoadedFleet): ExitCode {
  const rows = rowsOf(loaded)
  if (format === 'json') printJson(stdout, { keys: rows })
  else {
    const cells = rows.map(({ whose, is, fingerprint }) => [whose, is, fingerprint ?? ''])
    printLines(stdout, formatTable(['whose', '', 'fingerprint (SHA-256)'], cells))
    const missing = rows.find(({ is }) => is === 'missing')
    if (missing !== undefined) {
      const words =
        `Next, for each host: filo agent-config HOST -o DIR, copy DIR to its /etc/filo, have it show the ` +
        `fingerprint of its own key by: filo-agent --fingerprint; and here: filo enroll HOST`
      printLines(stdout, ['', words])
    }
  }
  return exitCodes.done
}

function rowsOf({ fleet, dir }: LoadedFleet): KeyRow[] {
  const own = readCoordinatorPublicKey(dir.keys)
  const old = readOldKey(dir.keys)
  const known = readHostKeys(dir.keys, fleet.hosts.keys())
  const { open } = keyFiles(dir.keys)
  return [
    { whose: 'coordinator', is: 'in use', fingerprint: own.id, file: open },
    ...(old === undefined
      ? []
      : [{ whose: 'coordinator', is: 'being replaced', fingerprint: old.id, file: open } as const]),
    ...[...fleet.hosts.keys()].map((host): KeyRow => {
      const key = known.get(host)
      const file = keyFiles(dir.keys, host).open
      return { whose: host, is: key === undefined ? 'missing' : 'in use', fingerprint: key?.id ?? null, file }
    }),
  ]
}
