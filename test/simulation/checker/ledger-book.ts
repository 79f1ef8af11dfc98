import type { File, TimedRow } from '../world/disk.ts'
import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'
import type { Evidence } from './evidence.ts'

// What a host's ledger may hold, told from DESIGN alone.
//
// R5. An action starts once.
// R8. A grant is higher than all before it, is given while nobody else's is in force, and only who holds it acts.
// R9. A command quotes a beacon that this very process of the agent issued at most 30 s ago, in true time.

const leaseMs = 30_000
const beaconAgeMs = 30_000
/** A beacon tells its time in whole milliseconds. */
const roundingMs = 1

/** What the tables of a ledger tell the checker. */
export const ledgerTriggers = `
  create temp trigger told_action after insert on action begin
    select tell('action', new.id, new.status, new.run, new.grant_number, new.verb, new.service, new.hook, new.command);
  end;
  create temp trigger told_end after update of status on action begin select tell('ended', new.id); end;
  create temp trigger told_holder after update of holder on ledger begin
    select tell('holder', new.holder, new.last_grant);
  end;
`

interface Holder {
  readonly run: string
  readonly grant: number
  readonly coordinator: string
}

export interface OpenNote {
  readonly verb: string
  readonly service: string
  readonly hook: string | null
  readonly startedAtMs: number
  /** The boot of the host in which it began. */
  readonly boot: string
}

/** A ledger, as its tables alone tell it. */
export class LedgerBook {
  readonly host: string
  readonly grants = new Map<number, string>()
  /** Started and not ended. */
  readonly open = new Map<string, OpenNote>()
  readonly ended = new Set<string>()
  readonly sealed = new Set<string>()
  holder: Holder | null = null
  readonly #file: File
  readonly #evidence: Evidence
  readonly #violate: (rule: string, words: string) => void
  #id: string | undefined
  #lastGrant = 0
  /** Whether the holder had the host halted, and has no use for it since. */
  #isLapsed = false
  /** When each coordinator was last heard by a process of the agent. */
  readonly #heardAtMs = new Map<string, number>()
  /** The commands that each process of the agent has heard, by their hashes. */
  readonly #heardBy = new WeakMap<Process, Set<string>>()
  readonly #claims: ClaimNote[] = []

  constructor(host: string, file: File, evidence: Evidence, violate: (rule: string, words: string) => void) {
    this.host = host
    this.#file = file
    this.#evidence = evidence
    this.#violate = (rule, words) => violate(rule, `${host}: ${words}`)
  }

  get id(): string {
    this.#id ??= this.#file.read('select id from ledger')[0]!['id'] as string
    return this.#id
  }

  /** A command has reached the agent. */
  hear(frame: Frame, process: Process): void {
    if (frame.type === 'claim') {
      const { nowMs } = process
      this.#claims.push({ body: frame.body, atMs: nowMs, flaw: this.#flawOf(frame, process, nowMs) })
    }
    const isCopy = this.#isCopy(frame, process)
    // A copy is the broker's doing, and no sign of life of a coordinator.
    if (frame.from === undefined || (isCopy && frame.type !== 'act')) return
    this.#heardAtMs.set(frame.body['coordinator'] as string, process.nowMs)
  }

  #isCopy(frame: Frame, process: Process): boolean {
    const heard = this.#heardBy.get(process) ?? new Set()
    this.#heardBy.set(process, heard)
    const isCopy = heard.has(frame.hash)
    heard.add(frame.hash)
    return isCopy
  }

  take(process: Process, rows: readonly TimedRow[]): void {
    for (const { row, atMs } of rows) {
      const [kind, ...columns] = row
      if (kind === 'holder') this.#passOn(columns[0] as string | null, columns[1] as number, process, atMs)
      else if (kind === 'ended') {
        const { verb, boot } = this.open.get(columns[0] as string)!
        this.#isLapsed ||= verb === 'halt' && boot !== process.machine.boot
        this.open.delete(columns[0] as string)
        this.ended.add(columns[0] as string)
      } else this.#takeAction(columns as unknown as ActionColumns, process, atMs)
    }
  }

  /** The action that a script was begun for, by the number of its process group. */
  actionOf(pgid: number): string | undefined {
    return this.#file.read('select id from action where pgid = ?', pgid)[0]?.['id'] as string | undefined
  }

  #takeAction(
    [id, status, run, grant, verb, service, hook, command]: ActionColumns,
    process: Process,
    atMs: number,
  ): void {
    if (status === 'sealed') {
      this.sealed.add(id)
      return
    }
    if (this.ended.has(id) || this.open.has(id) || this.sealed.has(id))
      this.#violate('R5', `action ${id} starts again`)
    const act = this.#evidence.commands.get(command)
    if (act === undefined) return this.#violate('R9', `action ${id} starts, and no coordinator has sent it`)
    const { holder } = this
    const isHeld =
      holder?.run === run && holder.grant === grant && holder.coordinator === act.body['coordinator']
    if (!isHeld)
      this.#violate('R8', `an action of ${run} starts under grant ${grant}, while ${nameOf(holder)} holds it`)
    for (const other of this.open.values()) {
      // What is about the host itself names no service.
      const isOfAll = other.service === '' || service === ''
      if (isOfAll || (other.service === service && other.hook === hook))
        this.#violate('R5', `${service || 'the host'} has two actions at once`)
    }
    const flaw = this.#flawOf(act, process, atMs) ?? this.#staleness(act, process, atMs)
    if (flaw !== undefined) this.#violate('R9', `an action starts by a beacon ${flaw}`)
    this.open.set(id, { verb, service, hook, startedAtMs: atMs, boot: process.machine.boot })
  }

  /** What is wrong with the beacon that a command quotes. */
  #flawOf(command: Frame, process: Process, atMs: number): string | undefined {
    const beacon = this.#evidence.beacon(command.body['beacon'] as string)
    if (beacon === undefined) return 'that no agent has issued'
    if (beacon.process !== process) return 'of another process'
    const ageMs = atMs - beacon.atMs
    return ageMs > beaconAgeMs + roundingMs ? `${Math.round(ageMs)} ms old` : undefined
  }

  /** Whether a command lay in the agent's socket while it stood still: an agent that is held by somebody notices. */
  #staleness(command: Frame, process: Process, atMs: number): string | undefined {
    const issuedMs = this.#evidence.beacon(command.body['beacon'] as string)!.atMs
    const wokeMs = process.stoodStillUntilMs
    return issuedMs < wokeMs && wokeMs <= atMs ? 'from before the agent stood still' : undefined
  }

  #passOn(text: string | null, lastGrant: number, process: Process, atMs: number): void {
    const before = this.holder
    const after = text === null ? null : (JSON.parse(text) as Holder)
    this.holder = after
    if (after === null) {
      if (this.open.size > 0) this.#violate('R8', 'it is given back while an action goes on')
      return
    }
    this.grants.set(after.grant, after.run)
    if (after.grant <= this.#lastGrant || after.grant !== lastGrant) {
      this.#violate('R8', `grant ${after.grant} comes after ${this.#lastGrant}`)
    }
    this.#lastGrant = after.grant
    const claim = this.#claimOf(after, atMs)
    if (claim === undefined) this.#violate('R8', `it is given to ${after.run}, which has not claimed it`)
    if (claim?.flaw !== undefined)
      this.#violate('R8', `it is given to ${after.run} by a beacon ${claim.flaw}`)
    const isSame = before?.run === after.run && before.coordinator === after.coordinator
    const isLapsed = this.#isLapsed
    this.#isLapsed = false
    if (before === null || isSame || isTakenOver(before, after, claim)) return
    // An agent that begins does not know how much of a lease was left: its holder has all of it again.
    const heardAtMs = Math.max(this.#heardAtMs.get(before.coordinator) ?? 0, process.beganMs)
    if (this.open.size > 0)
      this.#violate('R8', `${after.run} gets it while an action of ${before.run} goes on`)
    const agoMs = atMs - heardAtMs
    // What a disk shows late was written before its holder was heard of again.
    if (!isLapsed && agoMs >= 0 && agoMs <= leaseMs - roundingMs) {
      this.#violate('R8', `${after.run} gets it while ${before.run}, heard ${agoMs} ms ago, holds it`)
    }
  }

  /** The claim by which somebody was given the host. */
  #claimOf({ run, coordinator }: Holder, atMs: number): ClaimNote | undefined {
    return this.#claims.findLast(
      (claim) => claim.atMs <= atMs && claim.body['run'] === run && claim.body['coordinator'] === coordinator,
    )
  }
}

/** A claim that was heard, with what was wrong with it then. */
interface ClaimNote {
  readonly body: Frame['body']
  readonly atMs: number
  readonly flaw: string | undefined
}

function isTakenOver(before: Holder, after: Holder, claim: ClaimNote | undefined): boolean {
  const takeOver = claim?.body['takeOver']
  return takeOver === 'any' || (takeOver === 'run' && before.run === after.run)
}

type ActionColumns = readonly [
  id: string,
  status: string,
  run: string,
  grant: number,
  verb: string,
  service: string,
  hook: string | null,
  command: string,
]

function nameOf(holder: Holder | null): string {
  return holder === null ? 'nobody' : `${holder.run} by grant ${holder.grant}`
}
