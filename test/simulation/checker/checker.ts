import type { InstanceName } from '@filo/protocol'
import type { Fleet } from '../../../packages/coordinator/src/fleet/fleet.ts'
import type { RunEvent } from '../../../packages/coordinator/src/run/run-event.ts'
import type { LookSeen } from '../actors/managers.ts'
import type { Trace } from '../trace.ts'
import type { File } from '../world/disk.ts'
import type { Frame } from '../world/frame.ts'
import type { Process } from '../world/process.ts'
import type { Script } from '../world/script.ts'
import type { Service } from '../world/service.ts'
import type { Time } from '../world/time.ts'
import { auditFlaws, unauditedActions, unauditedWaivers } from './audit.ts'
import { Evidence } from './evidence.ts'
import { LedgerBook, ledgerTriggers } from './ledger-book.ts'
import { Order } from './order.ts'
import type { PlanRead } from './plan.ts'
import { RunBook } from './run-book.ts'
import { Statements } from './statements.ts'
import { Timeliness } from './timeliness.ts'

// Asserts R1-R14 after everything that happens. It sees what the world sees: messages as they go by, rows as they
// are stored, services as they are; and it shares no code with what it judges.

const journalTriggers = `
  create temp trigger told_run after insert on run begin select tell('run', new.id, new.plan); end;
  create temp trigger told_event after insert on run_event begin select tell('event', new.run, new.event); end;
`

/** R13. */
const messageBytes = 64 * 1024
/** After so many violations a play has made its point. */
const mostViolations = 10

export interface CheckerWorld {
  readonly time: Time
  readonly fleet: Fleet
  readonly services: ReadonlyMap<InstanceName, Service>
  readonly trace: Trace
  /** The boot that a host is in; undefined while it is off. */
  readonly bootOf: (host: string) => string | undefined
}

/** What is going on with an action on a host. */
export interface ActionNote {
  readonly action: string
  readonly isEffective: boolean
  readonly isAnswered: boolean
}

export class Checker {
  readonly violations: string[] = []
  readonly runs = new Map<string, RunBook>()
  /** Of each host the ledger that it has now. */
  readonly ledgers = new Map<string, LedgerBook>()
  readonly #world: CheckerWorld
  readonly #evidence = new Evidence()
  readonly #order: Order
  readonly #timeliness: Timeliness
  readonly #statements: Statements
  readonly #effects = new Map<string, { readonly atMs: number; readonly script: Script; count: number }>()
  /** Of each instance, the ledger that noted what took effect last. */
  readonly #notedIn = new Map<InstanceName, LedgerBook>()
  readonly #grants = new Map<string, string>()
  readonly #waivers = new Set<string>()
  readonly #files = new Set<File>()

  constructor(world: CheckerWorld) {
    this.#world = world
    this.#order = new Order(world.fleet, world.services, (words) => this.violate('order', words))
    this.#timeliness = new Timeliness((rule, words) => this.violate(rule, words))
    this.#statements = new Statements(this.#evidence, (rule, words) => this.violate(rule, words))
  }

  violate(rule: string, words: string): void {
    this.#world.trace.tell(`VIOLATION of ${rule}: ${words}`)
    if (this.violations.length < mostViolations) {
      this.violations.push(`at ${Math.round(this.#world.time.nowMs)} ms, ${rule}: ${words}`)
    }
  }

  /** Begins to read what is stored in a database. */
  watch(file: File, kind: 'ledger' | 'journal', host: string): void {
    this.#files.add(file)
    if (kind === 'journal') {
      file.triggers = journalTriggers
      file.onCommit = (process, rows, begunAtMs) => this.#takeJournal(process, rows, begunAtMs)
      return
    }
    const book = new LedgerBook(host, file, this.#evidence, (rule, words) => this.violate(rule, words))
    this.ledgers.set(host, book)
    file.triggers = ledgerTriggers
    file.onCommit = (process, rows) => {
      book.take(process, rows)
      for (const [grant, run] of book.grants) this.#grants.set(`${host}/${book.id}/${grant}`, run)
      this.#world.trace.rows(process, rows)
    }
  }

  /** A disk is gone, and what was on it. */
  forget(host: string): void {
    this.ledgers.delete(host)
  }

  onSent(frame: Frame): void {
    this.#evidence.noteFrame(frame)
    this.#timeliness.sent(frame)
    this.#world.trace.frame('sends', frame)
    if (frame.isAnswer) this.#statements.judge(frame, this.ledgers.get(frame.host))
    if (frame.bytes.length > messageBytes)
      this.violate('R13', `a ${frame.type} of ${frame.bytes.length} bytes`)
    if (frame.type !== 'act') return
    const { run, action } = frame.body as { run: string; action: string }
    if (this.runs.get(run)?.sending(action) === undefined)
      this.violate('R1', `${action} is sent, and is in no journal`)
  }

  onDelivered(frame: Frame, to: Process): void {
    this.#timeliness.delivered(frame, to)
    this.#world.trace.frame('hears', frame, to)
    if (!frame.isAnswer) this.ledgers.get(frame.host)?.hear(frame, to)
  }

  onLook(look: LookSeen): number {
    return this.#evidence.noteLook(look)
  }

  /** Something is done to a service, or by a hook: what counts in the end. */
  onEffect(
    host: string,
    instance: InstanceName,
    verb: 'start' | 'stop' | 'hook' | 'reboot' | 'halt',
    script: Script,
  ): string | undefined {
    const what = `${verb} ${instance}`
    const action = this.ledgers.get(host)?.actionOf(script.group.pgid)
    this.#world.trace.tell(`EFFECT ${what} by ${action ?? 'nobody'}`)
    if (action === undefined) {
      this.violate('R5', `${what} without an action in the ledger`)
      return undefined
    }
    if (!this.ledgers.get(host)!.open.has(action)) this.violate('R5', `${what} by an action that is over`)
    const before = this.#effects.get(action)
    if (before !== undefined)
      this.violate('R5', `${what} takes effect ${(before.count += 1)} times as ${action}`)
    else this.#effects.set(action, { atMs: this.#world.time.nowMs, script, count: 1 })
    const book = [...this.runs.values()].find((run) => run.sending(action) !== undefined)
    const sending = book?.sending(action)
    if (sending?.isSealed === true) this.violate('R6', `${what} as ${action}, which is believed sealed`)
    if (verb === 'hook') return action
    const sentAtMs = sending?.atMs ?? this.#world.time.nowMs
    const cause = {
      sentAtMs,
      isWaived: (one: string) => book?.isWaived(one) ?? false,
      isUnderWay: (one: string) => this.#isUnderWay(one),
    }
    if (verb === 'reboot' || verb === 'halt') {
      this.#order.judgeGoing(host, cause)
      return action
    }
    const service = this.#world.services.get(instance)!
    // An agent whose disk was lost cannot know what it began before.
    const ledger = this.ledgers.get(host)!
    const isRemembered = this.#notedIn.get(instance) === ledger
    this.#notedIn.set(instance, ledger)
    if (
      service.isBusy &&
      service.kind === 'systemd' &&
      isRemembered &&
      service.touchedAtMs < sentAtMs &&
      !cause.isWaived(instance)
    ) {
      this.violate('R5', `${what} while it is ${service.state} already`)
    }
    if (verb === 'stop') this.#order.judgeStop(instance, cause)
    else this.#order.judgeStart(instance, cause)
    return action
  }

  onWaiver(run: string, step: number): void {
    this.#waivers.add(`${run}/${step}`)
  }

  /** Looks at who owes a word. */
  expectTimeliness(
    coordinators: readonly { readonly process: Process; readonly run: string }[],
    agents: ReadonlyMap<string, Process>,
  ): void {
    this.#timeliness.expectAnswers()
    for (const { process, run } of coordinators) {
      const book = this.runs.get(run)!
      for (const [at, { phase, action, sentAtMs }] of book.steps.entries()) {
        const isOurs = book.hosts.get(book.plan.steps[at]!.host)!.kind === 'claimed'
        if (phase === 'sent' && isOurs && !process.isHeld)
          this.#timeliness.expectWord(process, action!, sentAtMs)
      }
    }
    for (const [host, agent] of agents) {
      for (const [action, { startedAtMs }] of this.ledgers.get(host)?.open ?? []) {
        if (!agent.isHeld) this.#timeliness.expectSignOfLife(agent, action, startedAtMs)
      }
    }
  }

  /** What stands on the disks at the end. */
  checkAudit(): void {
    for (const file of this.#files) {
      if (!file.isThere) continue
      const flaws = auditFlaws(file)
      flaws.push(...(file.name.endsWith('ledger.db') ? unauditedActions(file) : unauditedWaivers(file)))
      for (const flaw of flaws) this.violate('A1', flaw)
    }
  }

  /** Whether a host has been told to go down, and it is not known what came of it. */
  isGoingDown(host: string): boolean {
    return [...(this.ledgers.get(host)?.open.values() ?? [])].some(({ service }) => service === '')
  }

  /** What goes on with the actions that a host has begun and not ended. */
  openActions(host: string): ActionNote[] {
    return [...(this.ledgers.get(host)?.open.keys() ?? [])].map((action) => {
      const effect = this.#effects.get(action)
      return {
        action,
        isEffective: effect !== undefined,
        isAnswered: effect !== undefined && !effect.script.isAlive,
      }
    })
  }

  #isUnderWay(instance: string): boolean {
    const [service, host] = instance.split('@') as [string, string]
    const open = [...(this.ledgers.get(host)?.open.values() ?? [])]
    return open.some((one) => one.service === service && one.hook === null)
  }

  #takeJournal(
    process: Process,
    rows: readonly { readonly row: readonly (string | number | null)[] }[],
    begunAtMs: number,
  ): void {
    const events = new Map<string, RunEvent[]>()
    for (const { row } of rows) {
      const [kind, run, text] = row as [string, string, string]
      if (kind === 'run') this.#open(run, JSON.parse(text) as PlanRead)
      else events.set(run, [...(events.get(run) ?? []), JSON.parse(text) as RunEvent])
    }
    for (const [run, all] of events) {
      this.#world.trace.events(process, run, all, this.runs.get(run)!.plan)
      // When it was decided, not when the disk had it: what makes that late is judged by the beacon.
      this.runs.get(run)!.take(all, begunAtMs)
    }
  }

  #open(run: string, plan: PlanRead): void {
    const witness = {
      evidence: this.#evidence,
      violate: (rule: string, words: string) => this.violate(rule, words),
      effectAt: (action: string) => this.#effects.get(action)?.atMs,
      nowMs: () => this.#world.time.nowMs,
      bootOf: (host: string) => this.#world.bootOf(host),
      hasWaived: (name: string, step: number) => this.#waivers.has(`${name}/${step}`),
      gaveGrant: (host: string, ledger: string, grant: number, name: string) =>
        this.#grants.get(`${host}/${ledger}/${grant}`) === name,
    }
    this.runs.set(run, new RunBook(run, plan, witness))
  }
}
