import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'
import type { Evidence, Seen } from './evidence.ts'
import type { LedgerBook, OpenNote } from './ledger-book.ts'

// What an agent may say, judged when it says it, whoever hears it and whatever is made of it.
//
// R3. That a state has held for so long is said by who has seen it for so long. What an instance looks like while an
//     action on it is under way proves nothing.
// R4. What is still on its way has no ending.
// R6. What is said to be sealed is sealed in the ledger.
// R9. A command is refused for its beacon where that is not to be trusted, and nowhere else: an operator would wait for nothing.

/** Looks are dated by whole milliseconds of several clocks. */
const slackMs = 5
/** R9: how old a beacon may be. */
const beaconAgeMs = 30_000

/** Judges the answers of agents. */
export class Statements {
  readonly #evidence: Evidence
  readonly #violate: (rule: string, words: string) => void

  constructor(evidence: Evidence, violate: (rule: string, words: string) => void) {
    this.#evidence = evidence
    this.#violate = violate
  }

  /** @param ledger the one that the agent has now; undefined where its disk was lost */
  judge({ type, host, body, from }: Frame, ledger: LedgerBook | undefined): void {
    if (from === undefined) return
    if (type === 'result') this.#judgeEnding(host, body['ending'] as EndingRead)
    if (type === 'refusal' && body['sealed'] === true) this.#judgeSeal(body['action'] as string, ledger)
    if (type === 'refusal' && body['refused'] === 'act' && body['reason'] === 'beacon')
      this.#judgeMistrust(body['inReplyTo'] as string, from)
    if (type !== 'report') return
    for (const { action, status, ending } of body['actions'] as RecordRead[]) {
      if (ending !== undefined) this.#judgeEnding(host, ending)
      if (status === 'sealed') this.#judgeSeal(action, ledger)
    }
    for (const { service, observation } of body['observations'] as SightedRead[])
      this.#judgeSight(`${service}@${host}`, observation, openOf(service, ledger))
  }

  #judgeSeal(action: string, ledger: LedgerBook | undefined): void {
    if (ledger !== undefined && !ledger.sealed.has(action))
      this.#violate('R6', `${action} is said to be sealed, and its ledger does not have it`)
  }

  #judgeMistrust(command: string, from: Process): void {
    const quoted = this.#evidence.commands.get(command)?.body['beacon']
    const beacon = this.#evidence.beacon(String(quoted))
    if (beacon === undefined || beacon.process !== from || from.wokeAtMs > beacon.atMs) return
    const ageMs = from.nowMs - beacon.atMs
    if (ageMs < beaconAgeMs - slackMs)
      this.#violate('R9', `${from.name} does not trust a beacon of its own that is ${ageMs} ms old`)
  }

  #judgeEnding(host: string, { outcome, observation }: EndingRead): void {
    if (observation !== undefined) this.#judgeHold(`a service of ${host}`, observation)
    const state = observation?.state
    const isOnItsWay = state === 'starting' || state === 'stopping'
    if (isOnItsWay && outcome !== 'unproven' && outcome !== 'overdue')
      this.#violate('R4', `an action is said to be ${outcome}, and the service is ${state}`)
  }

  #judgeSight(instance: string, seen: Seen, open: readonly OpenNote[]): void {
    const look = this.#evidence.lookBehind(seen)
    if (look === undefined) return
    for (const { verb, startedAtMs } of open) {
      const isMissed =
        verb === 'start' ? seen.state === 'stopped' : verb === 'stop' && seen.state === 'running'
      if (isMissed && startedAtMs < look.beganMs)
        this.#violate('R3', `${instance} is said to be ${seen.state} while a ${verb} is under way`)
    }
    this.#judgeHold(instance, seen)
  }

  /** What a manager does not know itself was watched. */
  #judgeHold(instance: string, seen: Seen): void {
    const look = this.#evidence.lookBehind(seen)
    if (look === undefined || look.sighting.heldMs !== undefined || seen.state === 'unknown') return
    if (seen.heldMs > this.#evidence.watchedMs(look) + slackMs)
      this.#violate(
        'R3',
        `${instance} is said to be ${seen.state} for ${seen.heldMs} ms, which nobody has seen`,
      )
  }
}

interface EndingRead {
  readonly outcome: string
  readonly observation?: Seen
}

interface RecordRead {
  readonly action: string
  readonly status: string
  readonly ending?: EndingRead
}

interface SightedRead {
  readonly service: string
  readonly observation: Seen
}

function openOf(service: string, ledger: LedgerBook | undefined): OpenNote[] {
  return [...(ledger?.open.values() ?? [])].filter((one) => one.service === service && one.hook === null)
}
