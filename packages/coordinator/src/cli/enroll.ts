import { NobodyThere, type VerifyingKey } from '@filo/protocol'
import { openBroker } from '../engine/broker.ts'
import { askForKeys } from '../engine/introduction.ts'
import { acceptHostKey, isRevoked, readCoordinatorKeys, readHostKey } from '../engine/keys.ts'
import type { Broker } from '../fleet/fleet.ts'
import { hint } from '../fleet/problem.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleetWithKeys, noteChange } from './keys.ts'
import { printLines } from './print.ts'

/** Nobody who answers first is to keep the host itself from being heard; and an operator waits for this. */
const answersMs = 3000

/**
 * Accepts the key that a host's agent has made for itself, once an operator has compared its fingerprint with the one that
 * the host shows, or has named that. Nothing is accepted unseen.
 */
export async function enroll(
  context: Context,
  host: string,
  { fingerprint }: { readonly fingerprint?: string },
): Promise<ExitCode> {
  const loaded = loadFleetWithKeys(context)
  const { fleet, dir, file } = loaded
  if (!fleet.hosts.has(host)) {
    const known = hint(host, [...fleet.hosts.keys()])
    throw new Exit(exitCodes.nothingMatched, `${file} has no host "${host}"${known}`)
  }
  if (fingerprint === undefined && !context.canAsk) {
    throw new Exit(
      exitCodes.usage,
      `nothing was accepted: there is no terminal to ask on; name the fingerprint that ${host} shows with --fingerprint (on ${host}: filo-agent --fingerprint)`,
    )
  }
  const wanted = fingerprint?.toLowerCase()
  const found = await findKeys(host, {
    fleet: fleet.name,
    open: () =>
      openBroker(dir, fleet.broker as Broker, { name: `filo ${context.operator}`, willReceive: true }),
    host,
    operator: context.operator,
    keys: readCoordinatorKeys(dir.keys),
    timeoutMs: answersMs,
    isWanted: ({ id }: VerifyingKey) => id === wanted,
  })
  const key = wanted === undefined ? found[0]! : found.find(({ id }) => id === wanted)
  if (key === undefined) {
    throw new Exit(
      exitCodes.notPermitted,
      `nothing was accepted: what answers for ${host} has not the key ${wanted!}, but ${found.map(({ id }) => id).join(', ')}. ` +
        `If that is not what ${host} itself shows (filo-agent --fingerprint), somebody else answers in its place`,
    )
  }
  if (isRevoked(dir.keys, key.id)) {
    throw new Exit(
      exitCodes.notPermitted,
      `nothing was accepted: ${key.id} has been revoked. Have ${host} make another one: remove its agent.key, then filo-agent --fingerprint`,
    )
  }
  const known = readHostKey(dir.keys, host)
  if (known?.id === key.id) {
    printLines(context.stdout, [`${key.id} is known as the key of ${host} already`])
    return exitCodes.done
  }
  if (wanted === undefined) await haveConfirmed(context, host, found, known)
  acceptHostKey(dir.keys, host, key)
  noteChange(context, loaded, 'accepted', host, key.id)
  printLines(context.stdout, [`accepted ${key.id} as the key of ${host}`])
  return exitCodes.done
}

async function findKeys(host: string, options: Parameters<typeof askForKeys>[0]): Promise<VerifyingKey[]> {
  try {
    const found = await askForKeys(options)
    if (found.length > 0) return found
  } catch (error) {
    if (!(error instanceof NobodyThere)) throw error
    throw new Exit(exitCodes.unknown, `no agent listens for ${host}; on ${host}: systemctl status filo-agent`)
  }
  throw new Exit(
    exitCodes.unknown,
    `the agent of ${host} does not answer; if it has dropped messages for "unknown-key", it obeys another coordinator's key than this one's: filo agent-config ${host}`,
  )
}

async function haveConfirmed(
  context: Context,
  host: string,
  found: readonly VerifyingKey[],
  known: VerifyingKey | undefined,
): Promise<void> {
  if (found.length > 1) {
    throw new Exit(
      exitCodes.notPermitted,
      `nothing was accepted: ${found.length} keys answer for ${host}: ${found.map(({ id }) => id).join(', ')}. ` +
        `Somebody answers in its place; name the one that ${host} itself shows with --fingerprint`,
    )
  }
  const lines = [
    `What answers for ${host} has the key`,
    `  ${found[0]!.id}`,
    ...(known === undefined ? [] : [`instead of ${known.id}, which is believed until now.`]),
    `On ${host}, not through this connection: filo-agent --fingerprint`,
  ]
  context.stderr.write(`${lines.join('\n')}\n\n`)
  if (await context.ask(`Does ${host} itself show the same?`)) return
  throw new Exit(exitCodes.resumable, 'nothing was accepted')
}
