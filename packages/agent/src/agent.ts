import {
  cut,
  instanceName,
  unsealCommand,
  type Act,
  type ActionRecord,
  type Claim,
  type Command,
  type HostDefinition,
  type Mailbox,
  type Observation,
  type Refusal,
  type Seal,
  type ServiceDefinition,
  type Sighted,
  type SigningKey,
  type Transport,
  type TrustedKey,
  type Unsealable,
} from '@filo/protocol'
import type { Logger } from 'pino'
import { Actions, subjectName, type Listener, type Subject } from './actions.ts'
import { Beacons } from './beacon.ts'
import { Claims } from './claims.ts'
import { Definitions, nameOf } from './definitions.ts'
import type { LedgerSight } from './ledger-reader.ts'
import { isLedgerFailure, Ledger } from './ledger.ts'
import type { Manager } from './managers/manager.ts'
import { lookTimeoutMs, underWay } from './observer.ts'
import type { Stage } from './perform.ts'
import { Permission } from './permission.ts'
import type { Policy } from './policy.ts'
import { Repeats } from './repeats.ts'
import type { Rights } from './rights.ts'
import { Voice, type Origin, type Question } from './voice.ts'

// One message in, its answers out. A message is checked in the order of DESIGN section 7, cheapest first: what is
// not a signed command of a trusted coordinator to this host is counted and dropped without an answer; what is, and
// is not done, is refused with a reason. A refused action is sealed in the same breath: no other copy of the command
// will start it later.

/** What an agent is given by the world. */
export interface AgentWorld extends Stage {
  readonly transport: Transport
  readonly log: Logger
  /** The kernel's boot id. */
  readonly boot: string
  /** Where services' output files are. */
  readonly outputDir: string
  /** The host's own policy, as it stands at the moment. */
  readonly policy: () => Policy
  /** Where the agent needs rights that are not its own. */
  readonly rights?: Rights
}

export interface AgentIdentity {
  readonly key: SigningKey
  /** The coordinators that this agent obeys. */
  readonly trusted: TrustedKey
}

/** Why something that arrived was dropped without an answer. */
export type Rejection = Unsealable | 'other-host' | 'overload' | 'repeated'

/** Commands handled at once (R13); more are dropped, and asked again by whoever meant them. */
const commandsAtOnce = 64

/** The agent of one host: observes always, and acts where it has a ledger. */
export class Agent implements AsyncDisposable {
  /** How often what arrived was dropped, by why. */
  readonly rejected = new Map<Rejection, number>()
  readonly #world: AgentWorld
  readonly #host: HostDefinition
  readonly #identity: AgentIdentity
  readonly #ledger: Ledger | null
  /** What an agent that only observes knows of the ledger. */
  readonly #sight: (() => LedgerSight) | null
  readonly #claims: Claims | null
  readonly #actions: Actions | null
  readonly #beacons: Beacons
  readonly #voice: Voice
  readonly #definitions: Definitions
  readonly #permission: Permission
  readonly #repeats = new Repeats()
  readonly #closing = new AbortController()
  #mailbox: Mailbox | undefined
  #handling = 0

  private constructor(
    world: AgentWorld,
    host: HostDefinition,
    identity: AgentIdentity,
    ledgerOrSight: Ledger | (() => LedgerSight),
  ) {
    const ledger = ledgerOrSight instanceof Ledger ? ledgerOrSight : null
    this.#world = world
    this.#host = host
    this.#identity = identity
    this.#ledger = ledger
    this.#sight = ledgerOrSight instanceof Ledger ? null : ledgerOrSight
    this.#claims = ledger && new Claims(ledger, world.clock)
    this.#actions = ledger && new Actions(world, host.host, ledger, world.outputDir, world.log)
    this.#beacons = new Beacons(world.clock, this.#closing.signal)
    this.#definitions = new Definitions(host)
    this.#permission = new Permission(world)
    this.#voice = new Voice(world, identity.key, {
      fleet: host.fleet,
      host: host.host,
      ledger,
      beacon: () => this.#beacons.issue(this.#claims?.turn ?? 0),
      holder: () => (this.#claims ? this.#claims.holder : (this.#sight?.().holder ?? null)),
      freeze: () => this.#permission.freeze(),
      lack: () => this.#permission.lack,
    })
  }

  /**
   * Starts to answer for a host. With no more than a look into a ledger it only observes. Throws AddressInUse when another agent answers
   * for the host, and BrokerUnavailable.
   */
  static async open(
    world: AgentWorld,
    host: HostDefinition,
    identity: AgentIdentity,
    ledger: Ledger | (() => LedgerSight),
  ): Promise<Agent> {
    const agent = new Agent(world, host, identity, ledger)
    if (agent.#permission.isLimited) await agent.#permission.review()
    agent.#mailbox = await world.transport.open({ agent: host.host }, (message) => agent.receive(message))
    // Only now: what is found out may end a run, whose coordinator then gives the host back.
    agent.#adoptAll()
    return agent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#mailbox?.[Symbol.asyncDispose]()
    await this.#actions?.[Symbol.asyncDispose]()
    await this.#voice.drain()
  }

  /** Takes one message; never throws, whatever it is. */
  receive(bytes: Uint8Array): void {
    const opened = unsealCommand(bytes, this.#identity.trusted)
    if (opened.kind === 'rejected') return this.#reject(opened.why)
    const { message: command, hash, key } = opened
    if (command.body.host !== this.#host.host || command.body.fleet !== this.#host.fleet) {
      return this.#reject('other-host')
    }
    if (this.#handling >= commandsAtOnce) return this.#reject('overload')
    const isRepeat = this.#repeats.hear(hash)
    // An action is answered for each time: its answer may have been lost.
    if (isRepeat && command.type !== 'act') return this.#reject('repeated')
    this.#handling += 1
    const origin = { coordinator: command.body.coordinator, inReplyTo: hash, takenBy: key.id, isRepeat }
    if (command.body.head !== null) this.#ledger?.audit.hear(command.body.head)
    void this.#handle(command, origin)
      .catch((error: unknown) => {
        this.#world.log.error({ err: error, command: command.type }, 'a command could not be handled')
        if (isLedgerFailure(error)) this.#voice.refuse(origin, command.type, 'storage', unwritable(error))
      })
      .catch((error: unknown) => this.#world.log.error({ err: error }, 'a refusal could not be said'))
      .finally(() => {
        this.#handling -= 1
      })
  }

  #reject(why: Rejection): void {
    const count = (this.rejected.get(why) ?? 0) + 1
    this.rejected.set(why, count)
    // Powers of two only: whoever floods the mailbox must not fill the disk with our words about it.
    if ((count & (count - 1)) === 0) this.#world.log.warn({ why, count }, 'a message was dropped')
  }

  async #handle(command: Command, origin: Question): Promise<void> {
    this.#claims?.hearFrom(command.body.coordinator)
    if (command.type === 'observe') {
      const { services, settle } = command.body
      // Somebody may have given them meanwhile.
      if (this.#permission.lack !== null) await this.#permission.review()
      return this.#voice.report(origin, { observations: await this.#observe(services, settle) })
    }
    if (this.#ledger === null || this.#claims === null || this.#actions === null) {
      return this.#voice.refuse(
        origin,
        command.type,
        'observer',
        'this agent only observes: another process acts for the host',
      )
    }
    switch (command.type) {
      case 'claim': {
        const { tasks, beacon } = command.body
        // Nothing else of a claim takes a while, so one that is refused anyway is not asked about.
        const isAsked = this.#permission.isLimited && !this.#beacons.objection(beacon, this.#claims.turn)
        const lack = isAsked ? await this.#permission.lackFor(tasks) : undefined
        // R8. Or a copy of a claim that was granted once would give the host again to a run that has long ended.
        const stale = this.#beacons.objection(command.body.beacon, this.#claims.turn)
        if (stale !== undefined) return this.#voice.refuse(origin, 'claim', 'beacon', stale)
        const objection = this.#permission.objectionTo(command.body.tasks, command.body.operator)
        if (objection !== undefined) {
          return this.#refuseClaim(command.body, origin, this.#ledger, 'policy', objection)
        }
        if (lack !== undefined) {
          return this.#refuseClaim(command.body, origin, this.#ledger, 'rights', lack)
        }
        const answer = this.#claims.claim(command.body)
        if (answer.kind === 'held') {
          return this.#refuseClaim(command.body, origin, this.#ledger, 'claimed', answer.detail)
        }
        return this.#voice.report(origin, {
          definitions: this.#definitions.digestsOf(command.body.definitions),
        })
      }
      case 'act':
        return this.#act(command.body, origin, this.#ledger, this.#claims, this.#actions)
      case 'inquire':
        return this.#voice.report(origin, {
          actions: command.body.actions.map((action) => this.#recordOf(action)),
        })
      case 'seal':
        return this.#voice.report(origin, {
          actions: [this.#seal(command.body, 'sealed by its coordinator')],
        })
      case 'abort':
        if (!this.#claims.isHeldBy(command.body.run, command.body.coordinator, command.body.grant)) {
          return this.#voice.refuse(origin, 'abort', 'grant', 'another grant is in force')
        }
        this.#actions.abort(command.body.action)
        return this.#voice.report(origin, { actions: [this.#recordOf(command.body.action)] })
      case 'recall':
        return this.#voice.excerpt(origin, this.#ledger.audit.between(command.body))
      case 'release':
        this.#claims.release(command.body.run, command.body.grant, command.body.operator)
        return this.#voice.report(origin, {})
    }
  }

  #refuseClaim(
    { run, operator }: Claim,
    origin: Origin,
    ledger: Ledger,
    reason: 'claimed' | 'policy' | 'rights',
    detail: string,
  ): void {
    const data = { outcome: 'refused', run, operator, reason: cut(detail) } as const
    ledger.note({ type: 'filo.claim.refused', subject: run, data })
    this.#voice.refuse(origin, 'claim', reason, detail)
  }

  async #act(act: Act, origin: Origin, ledger: Ledger, claims: Claims, actions: Actions): Promise<void> {
    if (!claims.isHeldBy(act.run, act.coordinator, act.grant)) {
      return this.#refuseAct(act, origin, 'grant', 'another grant is in force')
    }
    const record = ledger.record(act.action)
    if (record.status === 'finished' && record.ending !== undefined) {
      return this.#voice.result(origin, labels(act), record.ending, true)
    }
    if (record.status === 'started') return this.#voice.progress(origin, labels(act), 'acting', [])
    if (record.status === 'sealed') return this.#refuseAct(act, origin, 'sealed', 'it was barred before')
    const stale = this.#beacons.objection(act.beacon)
    if (stale !== undefined) return this.#refuseAct(act, origin, 'beacon', stale)
    if ('boot' in act && act.boot !== this.#world.boot) {
      return this.#refuseAct(act, origin, 'boot', 'the boot that it was to end has ended')
    }
    const found = this.#definitions.subjectOf(act)
    if (found === undefined) {
      return this.#refuseAct(
        act,
        origin,
        'unknown-service',
        `${nameOf(act)} is not in this agent's configuration`,
      )
    }
    if (found.digest !== act.definition) {
      const detail =
        'the agent has another definition of it: write the host its configuration anew (filo agent-config)'
      return this.#refuseAct(act, origin, 'definition', detail)
    }
    if (await this.#isOwnBranch(found.subject)) {
      return this.#refuseAct(act, origin, 'own-branch', 'this agent itself runs inside it')
    }
    const refusal = this.#start(act, found.subject, origin, ledger, claims)
    if (refusal !== undefined) return this.#refuseAct(act, origin, refusal.reason, refusal.detail)
    actions.begin(act, found.subject, this.#listener(act, origin))
  }

  /** Makes the start durable; gives why not. From here to the start of a process nothing is awaited. */
  #start(
    act: Act,
    subject: Subject,
    origin: Origin,
    ledger: Ledger,
    claims: Claims,
  ): Pick<Refusal, 'reason' | 'detail'> | undefined {
    const { clock, boot } = this.#world
    const at = { command: origin.inReplyTo, boot, startedAtMs: clock.sinceBoot() }
    try {
      return ledger.start(
        act,
        at,
        () => {
          const stale = this.#beacons.objection(act.beacon)
          if (stale !== undefined) return { reason: 'beacon', detail: stale } as const
          const objection = this.#permission.objectionTo([act], act.operator)
          if (objection !== undefined) return { reason: 'policy', detail: objection } as const
          if (!claims.isHeldBy(act.run, act.coordinator, act.grant)) {
            return { reason: 'grant', detail: 'another grant came into force meanwhile' } as const
          }
          if (ledger.record(act.action).status !== 'never-heard') {
            return { reason: 'busy', detail: 'another copy of this command came first' } as const
          }
          if (ledger.isBusy(act)) {
            return { reason: 'busy', detail: 'an earlier action has not ended' } as const
          }
          return undefined
        },
        {
          type: 'filo.action.started',
          subject: subjectName(subject, this.#host.host),
          data: {
            ...labels(act),
            verb: act.verb,
            operator: act.operator,
            ...(act.verb === 'hook' && { hook: act.hook }),
          },
        },
      )
    } catch (error) {
      this.#world.log.error({ err: error, ...labels(act) }, 'the start could not be recorded')
      return { reason: 'storage', detail: unwritable(error) }
    }
  }

  async #isOwnBranch(subject: Subject): Promise<boolean> {
    if (subject.kind !== 'service' || subject.verb === 'start') return false
    const { manager } = subject.definition
    const its = this.#world.managers[manager.kind] as Manager
    return (await its.contains?.(manager, process.pid, AbortSignal.timeout(lookTimeoutMs))) ?? false
  }

  /** Finds out about what an earlier agent process of this host had started. */
  #adoptAll(): void {
    for (const open of this.#ledger?.openActions() ?? []) {
      const found = this.#definitions.subjectOf(open)
      const origin = { coordinator: open.coordinator, inReplyTo: open.command, isRepeat: false }
      const isSameBoot = open.boot === this.#world.boot
      if (open.verb === 'halt' && !isSameBoot) this.#claims?.lapse()
      const elapsedMs = isSameBoot
        ? this.#world.clock.sinceBoot() - open.startedAtMs
        : Number.POSITIVE_INFINITY
      if (found === undefined) {
        const reason = `${nameOf(open)} is no longer in this agent's configuration; what its ${open.verb} came to is not known`
        this.#ledger!.finish(
          open.action,
          { outcome: 'unproven', reason, durationMs: 0 },
          {
            type: 'filo.action.finished',
            subject:
              open.service === undefined ? this.#host.host : instanceName(open.service, this.#host.host),
            data: {
              ...labels(open),
              outcome: 'unknown',
              operator: open.operator,
              ending: 'unproven',
              reason,
            },
          },
        )
      } else this.#actions!.adopt(open, found.subject, elapsedMs, this.#listener(open, origin))
    }
  }

  #listener(act: Pick<Act, 'run' | 'step' | 'action'>, origin: Origin): Listener {
    return {
      progress: (phase, lines) => this.#voice.progress(origin, labels(act), phase, lines),
      ended: (ending) => this.#voice.result(origin, labels(act), ending, false),
    }
  }

  async #observe(names: readonly string[], settle: boolean): Promise<Sighted[]> {
    const { observer, clock } = this.#world
    const askedMs = clock.now()
    const known = names
      .map((name) => this.#definitions.service(name))
      .filter((service) => service !== undefined)
    const definitions = known.map(({ definition }) => definition)
    const looked = settle
      ? await observer.lookSettled(definitions)
      : (await observer.look(definitions)).map((observation) => ({ observation, beganMs: askedMs }))
    // Read after looking: an action that begins meanwhile is newer than what was seen.
    const open = Map.groupBy(this.#ledger?.openActions() ?? [], ({ service }) => service)
    return known.map(({ definition, digest: definitionDigest }, at) => ({
      service: definition.service,
      definition: definitionDigest,
      observation: this.#withDebt(
        definition,
        underWay(looked[at]!.observation, open.get(definition.service)),
      ),
      lookedAfterMs: looked[at]!.beganMs - askedMs,
    }))
  }

  #owesStart(definition: ServiceDefinition): boolean {
    if (this.#actions !== null) return this.#actions.owesStart(definition)
    const its = this.#world.managers[definition.manager.kind] as Manager
    const mayOwe = its.owesStart?.(definition.manager) ?? false
    return mayOwe && this.#sight!().stoppedHere.has(definition.service)
  }

  /** What runs although its start is owed: whoever looks should know that it lacks something. */
  #withDebt(definition: ServiceDefinition, observation: Observation): Observation {
    if (observation.state !== 'running' || !this.#owesStart(definition)) return observation
    const warning =
      'it was stopped by Filo and started by another hand: what that stop had stopped beside it is resumed only by ' +
      `a start through Filo, which does no harm to what runs. Type: filo start ${definition.service}`
    return { ...observation, warnings: [...(observation.warnings ?? []), warning].slice(-8) }
  }

  #seal(
    { action, run, grant, operator }: Pick<Seal, 'action' | 'run' | 'grant' | 'operator'>,
    reason: string,
  ): ActionRecord {
    return this.#ledger!.seal(action, run, grant, {
      type: 'filo.action.sealed',
      subject: this.#host.host,
      data: { outcome: 'refused', run, action, operator, reason },
    })
  }

  #recordOf(action: string): ActionRecord {
    const record = this.#ledger!.record(action)
    return record.status === 'started' && this.#actions!.isOverdue(action)
      ? { action, status: 'overdue' }
      : record
  }

  #refuseAct(act: Act, origin: Origin, reason: Refusal['reason'], detail: string): void {
    let sealed = false
    try {
      // A copy of a command whose action did start is refused, but that action is not sealed by it.
      sealed = this.#seal(act, cut(`${reason}: ${detail}`)).status === 'sealed'
    } catch (error) {
      this.#world.log.error({ err: error, ...labels(act) }, 'a refused action could not be sealed')
    }
    this.#voice.refuse(origin, 'act', reason, detail, { action: act.action, sealed })
  }
}

function unwritable(error: unknown): string {
  return `the ledger cannot be written: ${error instanceof Error ? error.message : String(error)}`
}

function labels({ run, step, action }: Pick<Act, 'run' | 'step' | 'action'>) {
  return { run, step, action }
}
