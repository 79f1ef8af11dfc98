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

/** Looks are dated by whole milliseconds of several clocks. */
const slackMs = 5

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
    if (type === 'result') this.#judgeEnding(body['ending'] as EndingRead)
    if (type === 'refusal' && body['sealed'] === true) this.#judgeSeal(body['action'] as string, ledger)
    if (type !== 'report') return
    for (const { action, status, ending } of body['actions'] as RecordRead[]) {
      if (ending !== undefined) this.#judgeEnding(ending)
      if (status === 'sealed') this.#judgeSeal(action, ledger)
    }
    for (const { service, observation } of body['observations'] as SightedRead[])
      this.#judgeSight(`${service}@${host}`, observation, from, openOf(service, ledger))
  }

  #judgeSeal(action: string, ledger: LedgerBook | undefined): void {
    if (ledger !== undefined && !ledger.sealed.has(action))
      this.#violate('R6', `${action} is said to be sealed, and its ledger does not have it`)
  }

  #judgeEnding({ outcome, observation }: EndingRead): void {
    const state = observation?.state
    const isOnItsWay = state === 'starting' || state === 'stopping'
    if (isOnItsWay && outcome !== 'unproven' && outcome !== 'overdue')
      this.#violate('R4', `an action is said to be ${outcome}, and the service is ${state}`)
  }

  #judgeSight(instance: string, seen: Seen, from: Process, open: readonly OpenNote[]): void {
    const look = this.#evidence.lookBehind(seen)
    if (look === undefined) return
    for (const { verb, startedAtMs } of open) {
      const isMissed =
        verb === 'start' ? seen.state === 'stopped' : verb === 'stop' && seen.state === 'running'
      if (isMissed && startedAtMs < look.beganMs)
        this.#violate('R3', `${instance} is said to be ${seen.state} while a ${verb} is under way`)
    }
    if (look.sighting.heldMs !== undefined || seen.heldMs === 0) return
    if (!this.#evidence.hasSeen(look, from, look.beganMs - seen.heldMs + slackMs))
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
