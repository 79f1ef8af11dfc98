import { randomUUID } from 'node:crypto'
import {
  seal,
  shownKey,
  systemClock,
  unsealAnswer,
  type Command,
  type SigningKey,
  type Transport,
  type VerifyingKey,
} from '@filo/protocol'

export interface IntroductionOptions {
  readonly fleet: string
  /** Connects to the broker, for the time of the asking. */
  readonly open: () => Promise<Transport>
  readonly host: string
  readonly operator: string
  /** By which the agent is asked: it answers only to a coordinator that it obeys. */
  readonly keys: readonly SigningKey[]
  /** How long answers are waited for, milliseconds. */
  readonly timeoutMs: number
  /** Whether this is the key that is looked for: then nothing more is waited for. */
  readonly isWanted: (key: VerifyingKey) => boolean
}

/**
 * Asks a host's agent for its key, and gives every key by which something has answered for that host, each of which did sign its
 * answer. None of them is known to be the host's: whoever can use the broker may answer. Throws NobodyThere, and what `open` throws.
 */
export async function askForKeys(options: IntroductionOptions): Promise<VerifyingKey[]> {
  const { fleet, host, operator, keys, timeoutMs, isWanted } = options
  await using transport = await options.open()
  const coordinator = randomUUID()
  const body = {
    fleet,
    host,
    coordinator,
    operator,
    nonce: randomUUID(),
    head: null,
    services: [],
    settle: false,
  }
  const command: Command = { type: 'observe', body }
  const { bytes, hash } = seal(command, ...keys)
  const found = new Map<string, VerifyingKey>()
  const enough = new AbortController()
  await using _mailbox = await transport.open({ coordinator }, (answer) => {
    const key = shownKey(answer)
    if (key === undefined || found.size >= mostKeys) return
    const opened = unsealAnswer(answer, (id) => (id === key.id ? key : undefined))
    if (opened.kind === 'rejected') return
    const { message } = opened
    if (message.body.inReplyTo !== hash || message.body.host !== host || message.body.fleet !== fleet) return
    found.set(key.id, key)
    if (isWanted(key)) enough.abort()
  })
  await transport.send({ agent: host }, bytes)
  await systemClock.sleep(timeoutMs, enough.signal).catch(() => {})
  return [...found.values()]
}

/** Who answers by more keys than that is not the host. */
const mostKeys = 8
