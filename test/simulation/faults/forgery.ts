import type { KeyPair } from '@filo/protocol'
import type { Host } from '../actors/host.ts'
import { coordinatorKeys, hostKeys, nameOnly, signerOf, strangerKeys } from '../keys.ts'
import type { Scene } from '../scene.ts'
import { makeFrame, type Frame } from '../world/frame.ts'

/**
 * Whoever has the broker, and the key of one host, makes up a message about another: what the newest command asked for
 * is answered with the opposite of the truth, or a command is given that no coordinator gave. It is signed with that
 * key, with one that nobody knows, or in the name of whose word it should be, by something that is no signature of theirs.
 */
export function forge(scene: Scene, host: Host): boolean {
  const { network, dice } = scene
  const ofHost = network.frames.filter((frame) => frame.host === host.name && frame.from !== undefined)
  const answer = ofHost.findLast(({ isAnswer, type }) => isAnswer && type !== 'refusal')
  const command = ofHost.findLast(({ isAnswer, type }) => !isAnswer && (type === 'observe' || type === 'act'))
  const act = ofHost.findLast(({ type }) => type === 'act')
  const others = scene.hosts.map((_, at) => at).filter((at) => scene.hosts[at] !== host)
  const known = dice.weigh([
    ['a host', 0],
    ['nobody', 0.2],
    ['the sender', 0.3],
  ])
  const signAs = (sender: KeyPair) => {
    if (known === 'the sender') return nameOnly(sender)
    return signerOf(known === 'nobody' ? strangerKeys : hostKeys(dice.pick(others)))
  }
  let made: Frame | undefined
  if (dice.happens(0.3) && act !== undefined) {
    const body = { ...act.body, action: dice.id(), nonce: dice.id() }
    made = makeFrame({ agent: host.name }, 'act', body, signAs(coordinatorKeys[0]!))
  } else if (answer !== undefined && command !== undefined) {
    const coordinator = command.body['coordinator'] as string
    const body = { ...lie(answer, command), coordinator, inReplyTo: command.hash }
    made = makeFrame(
      { coordinator },
      typeFor(answer, command),
      body,
      signAs(hostKeys(scene.hosts.indexOf(host))),
    )
  }
  if (made === undefined) return false
  network.inject(made, dice.between(0, 5))
  return true
}

function typeFor(answer: Frame, command: Frame): string {
  return command.type === 'act' && answer.type === 'result' ? 'result' : answer.type
}

/** The opposite of what was said. */
function lie(answer: Frame, command: Frame): Record<string, unknown> {
  const body = structuredClone(answer.body) as Record<string, unknown>
  body['answer'] = (body['answer'] as number) + 1
  for (const sighted of (body['observations'] ?? []) as { observation: Record<string, unknown> }[]) {
    const isRunning = sighted.observation['state'] === 'running'
    sighted.observation['state'] = isRunning ? 'stopped' : 'running'
    sighted.observation['live'] = isRunning ? 'no' : 'yes'
    sighted.observation['heldMs'] = 3_600_000
  }
  if (command.type === 'act' && answer.type === 'result') {
    for (const key of ['run', 'step', 'action']) body[key] = command.body[key]
    const ending = body['ending'] as Record<string, unknown>
    ending['outcome'] = ending['outcome'] === 'changed' ? 'failed' : 'changed'
  }
  return body
}
