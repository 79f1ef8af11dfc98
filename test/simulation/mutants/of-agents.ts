import { mutant, type Mutant } from './mutant.ts'

// The agent, and what it shares with the coordinator, without one of its guards.

const agentFile = 'packages/agent/src/agent.ts'
const actionsFile = 'packages/agent/src/actions.ts'
const beaconFile = 'packages/agent/src/beacon.ts'
const claimsFile = 'packages/agent/src/claims.ts'
const ledgerFile = 'packages/agent/src/ledger.ts'
const observerFile = 'packages/agent/src/observer.ts'
const performFile = 'packages/agent/src/perform.ts'
const stateFile = 'packages/protocol/src/state.ts'
const envelopeFile = 'packages/protocol/src/envelope.ts'

export const mutantsOfAgents: readonly Mutant[] = [
  mutant(
    'R5',
    'an action begins while its host goes down',
    ledgerFile,
    "and ((service = ? and hook is ?) or service = '')",
    'and service = ? and hook is ?',
    'another run takes over a host that goes down',
  ),
  mutant(
    'R3',
    'a state need not settle',
    stateFile,
    "return heldMs >= settleMs ? 'proves' : 'between'\n  }",
    "return 'proves'\n  }",
  ),
  mutant('R3', 'what runs is ready', stateFile, "if (ready === 'no') return 'between'", ''),
  mutant(
    'R3',
    'what is stopping has stopped',
    stateFile,
    "if (state === 'stopping') return 'between'\n    if (live === 'yes') return 'contradicts'",
    '',
  ),
  mutant(
    'R3',
    'an action under way does not show in what is seen',
    agentFile,
    'underWay(looked[at]!.observation, open.get(definition.service)),',
    'underWay(looked[at]!.observation, []),',
  ),
  mutant(
    'R4',
    'time that is up means that it failed',
    performFile,
    "if (seen.state === 'starting' || seen.state === 'stopping') return true",
    '',
  ),
  {
    rule: 'R5',
    name: 'a command that is repeated is carried out again',
    edits: [
      {
        file: agentFile,
        from: "if (record.status === 'finished' && record.ending !== undefined) {",
        to: 'if (false as boolean) {',
      },
      {
        file: agentFile,
        from: "if (record.status === 'started') return this",
        to: 'if (false as boolean) return this',
      },
      {
        file: agentFile,
        from: "if (ledger.record(act.action).status !== 'never-heard') {",
        to: 'if (false as boolean) {',
      },
      {
        file: agentFile,
        from: 'return this.#voice.result(origin, labels(act), record.ending, true)',
        to: '',
      },
      {
        file: ledgerFile,
        from: '`insert into action (id, run, grant_number, step, verb, service, hook,',
        to: '`insert or replace into action (id, run, grant_number, step, verb, service, hook,',
      },
    ],
  },
  mutant(
    'R5',
    'an action may begin beside another on the same service',
    agentFile,
    'if (ledger.isBusy(act)) {',
    'if (false as boolean) {',
    'another run takes over while actions go on',
  ),
  mutant(
    'R5',
    'what a dead process had begun is done again',
    actionsFile,
    'return adopt(this.#stage, { ...task, ...this.#serviceTask(subject) }, group, elapsedMs)',
    'return perform(this.#stage, { ...task, ...this.#serviceTask(subject) })',
  ),
  {
    rule: 'R5',
    name: 'an action begins before its start is durable',
    edits: [
      {
        file: agentFile,
        from: '    const refusal = this.#start(act, found.subject, origin, ledger, claims)\n',
        to: '    actions.begin(act, found.subject, this.#listener(act, origin))\n    await this.#world.clock.sleep(1000)\n    const refusal = this.#start(act, found.subject, origin, ledger, claims)\n',
      },
      {
        file: agentFile,
        from: 'refusal.reason, refusal.detail)\n    actions.begin(act, found.subject, this.#listener(act, origin))',
        to: 'refusal.reason, refusal.detail)',
      },
    ],
  },
  mutant(
    'R6',
    'a refused action is called sealed and is not',
    agentFile,
    "sealed = this.#seal(act, cut(`${reason}: ${detail}`)).status === 'sealed'",
    'sealed = true',
  ),
  mutant(
    'R6',
    'a seal is told and not stored',
    ledgerFile,
    "if (known.status !== 'never-heard') return known\n",
    "if (known.status !== 'never-heard') return known\n      if (known.ending === undefined) return { action, status: 'sealed' }\n",
  ),
  mutant(
    'R8',
    'any grant will do',
    claimsFile,
    'return holder?.run === run && holder.coordinator === coordinator && holder.grant === grant',
    'return holder !== null || run === coordinator || grant === 0',
    'another run takes over, and commands of the first come late',
  ),
  mutant(
    'R8',
    'whoever asks gets the host',
    claimsFile,
    "if (claim.takeOver === 'any') return true",
    'if (holder !== null) return true',
  ),
  mutant(
    'R8',
    'a host is given away while an action goes on',
    claimsFile,
    'return this.#clock.sinceBoot() > this.#leaseUntilMs && this.#ledger.openActions().length === 0',
    'return this.#clock.sinceBoot() > this.#leaseUntilMs',
    'another run begins while actions of the first go on, which stands still',
  ),
  mutant(
    'R8',
    'a host is given back while an action goes on',
    claimsFile,
    'if (this.#ledger.openActions().length > 0) return\n',
    '',
  ),
  mutant(
    'R8',
    'the number of a grant does not rise',
    ledgerFile,
    'set last_grant = last_grant + 1 returning',
    'set last_grant = 1 returning',
  ),
  mutant(
    'R8',
    'a lease lasts three seconds',
    claimsFile,
    'this.#leaseUntilMs = this.#clock.sinceBoot() + leaseMs\n  }\n\n  #mayPass',
    'this.#leaseUntilMs = this.#clock.sinceBoot() + leaseMs / 10\n  }\n\n  #mayPass',
  ),
  mutant(
    'R9',
    'any beacon will do',
    beaconFile,
    'const nowMs = this.#now()\n    const [time',
    "if (beacon !== '') return undefined\n    const nowMs = this.#now()\n    const [time",
  ),
  mutant(
    'R9',
    'a beacon of another process will do',
    beaconFile,
    'readonly #secret = randomBytes(32)',
    'readonly #secret = randomBytes(32).fill(7)',
  ),
  mutant(
    'R9',
    'beacons never age',
    beaconFile,
    'if (ageMs > beaconAgeMs) return',
    'if (ageMs > beaconAgeMs * 1e6) return',
    'commands come late, and whoever sent them stands still',
  ),
  mutant(
    'R9',
    'beacons are dated by the wall clock',
    beaconFile,
    '  #now(): number {\n    const nowMs = this.#clock.sinceBoot()',
    '  #now(): number {\n    const nowMs = this.#clock.wall().getTime()',
    'clocks of hosts step',
  ),
  mutant(
    'R9',
    'beacons do not age while the host is suspended',
    beaconFile,
    '  #now(): number {\n    const nowMs = this.#clock.sinceBoot()',
    '  #now(): number {\n    const nowMs = this.#clock.now()',
    'a command waits for an agent that stands still',
  ),
  mutant(
    'R9',
    'what an agent finds in its socket after it stood still is as good as new',
    beaconFile,
    'if (Number(time) < Math.floor(this.#stoodStillUntilMs)) {',
    'if (Number(time) < 0) {',
    'a command waits for an agent that stands still',
  ),
  mutant(
    'R8',
    'a claim needs no beacon',
    agentFile,
    "if (stale !== undefined) return this.#voice.refuse(origin, 'claim', 'beacon', stale)",
    '',
  ),
  mutant(
    'R9',
    'a beacon is not looked at again when the start is recorded',
    agentFile,
    "if (stale !== undefined) return { reason: 'beacon', detail: stale } as const",
    "if (stale === '') return { reason: 'beacon', detail: stale } as const",
    'a start waits for a very slow disk',
  ),
  mutant(
    'R11',
    'an action gives no sign of life',
    actionsFile,
    'const signOfLifeMs = 5000',
    'const signOfLifeMs = 600_000',
  ),
  mutant(
    'R11',
    'who looks waits for what is being done',
    agentFile,
    '      const { services, settle } = command.body\n',
    '      const { services, settle } = command.body\n      while ((this.#ledger?.openActions().length ?? 0) > 0) await this.#world.clock.sleep(1000)\n',
    'services hang, and people look',
  ),
  mutant(
    'R10',
    'a signature is not looked at',
    envelopeFile,
    'if (!verify(null, preAuthenticationEncoding(payloadType, content), key.publicKey, sig))',
    'if (sig.length !== 64)',
    'forged and old messages',
  ),
  {
    rule: 'R3',
    name: 'what is seen twice has held since the first look, whatever was seen between',
    scheme: 'services fall over, and people look',
    edits: [
      { file: observerFile, from: 'if (!isSame(older, newer)) return newer', to: '' },
      {
        file: observerFile,
        from: 'other !== way && atMs > sinceMs',
        to: "other === '' && way === '' && sinceMs < 0",
      },
    ],
  },
  mutant(
    'R3',
    'what others have seen between two looks does not count',
    observerFile,
    'other !== way && atMs > sinceMs',
    "other === '' && way === '' && sinceMs < 0",
    'services fall over, and people look',
  ),
]
