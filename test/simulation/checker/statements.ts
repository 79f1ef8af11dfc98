import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'
import type { Evidence, Seen } from './evidence.ts'
import type { OpenNote } from './ledger-book.ts'

// What an agent may say, judged when it says it, whoever hears it and whatever is made of it.
//
// R3. That a state has held for so long is said by who has seen it for so long. What an instance looks like while an
//     action on it is under way proves nothing.
// R4. What is still on its way has no ending.

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

  /** @param open what the ledger of the agent has started and not ended */
  judge({ type, host, body, from }: Frame, open: ReadonlyMap<string, OpenNote>): void {
    if (from === undefined) return
    if (type === 'result') this.#judgeEnding(body['ending'] as EndingRead)
    if (type !== 'report') return
    for (const { ending } of body['actions'] as { ending?: EndingRead }[])
      if (ending !== undefined) this.#judgeEnding(ending)
    for (const { service, observation } of body['observations'] as SightedRead[])
      this.#judgeSight(`${service}@${host}`, observation, from, openOf(service, open))
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

interface SightedRead {
  readonly service: string
  readonly observation: Seen
}

function openOf(service: string, open: ReadonlyMap<string, OpenNote>): OpenNote[] {
  return [...open.values()].filter((one) => one.service === service && one.hook === null)
}
