import { mutant, type Mutant } from './mutant.ts'

// The coordinator's shell without one of its guards.

const executorFile = 'packages/coordinator/src/engine/executor.ts'
const answersFile = 'packages/coordinator/src/engine/answers.ts'
const hostsFile = 'packages/coordinator/src/engine/hosts.ts'
const linkFile = 'packages/coordinator/src/engine/link.ts'
const standstillFile = 'packages/coordinator/src/engine/standstill.ts'

export const mutantsOfTheEngine: readonly Mutant[] = [
  mutant(
    'R1',
    'a command is sent before the journal is durable',
    executorFile,
    `    this.#flush()
    for (const { step, action, grant, boot } of sending) this.#hosts.act(step, action, grant, boot)
`,
    `    for (const { step, action, grant, boot } of sending) this.#hosts.act(step, action, grant, boot)
    this.#flush()
`,
  ),
  mutant(
    'R2',
    'silence changes the state and not the journal',
    executorFile,
    'this.#fresh.push(event)',
    "if (event.type !== 'silent') this.#fresh.push(event)",
  ),
  mutant(
    'R3',
    'a proof is as young as its answer',
    answersFile,
    'const askedAtMs = heard.askedAtMs + (sighted?.lookedAfterMs ?? 0)',
    'const askedAtMs = this.#nowMs',
  ),
  mutant(
    'R4',
    'silence about an action means that it is done',
    answersFile,
    "this.#note({ type: 'unknown', step, action, reason: this.#whyUnknown(step, reason), atMs: this.#nowMs })",
    "this.#note({ type: 'done', step, action, outcome: 'changed', reason })",
  ),
  mutant(
    'R4',
    'silence about an action means that it never started',
    answersFile,
    "this.#note({ type: 'unknown', step, action, reason: this.#whyUnknown(step, reason), atMs: this.#nowMs })",
    "this.#note({ type: 'sealed', step, action, reason, retryAtMs: this.#nowMs })",
  ),
  mutant(
    'R4',
    'what a ledger has never heard of has failed',
    answersFile,
    'return this.#hosts.seal(step, action, sent.grant)',
    "return this.#note({ type: 'failed', step, action, reason: 'the agent has never heard of it' })",
  ),
  mutant(
    'R6',
    'a new ledger may seal',
    answersFile,
    'const isSameLedger = report.ledger === sent.ledger',
    'const isSameLedger = report.ledger !== null || sent.ledger === null',
  ),
  mutant(
    'R6',
    'a refusal of a new ledger is as good as a seal',
    answersFile,
    'if (!sealed || !isSameLedger || !this.#isWaitedFor(step, action)) return',
    'if (!sealed || !this.#isWaitedFor(step, action)) return',
    'a ledger is lost, and copies of commands come to the new one',
  ),
  mutant(
    'R6',
    'a refusal is as good as a seal',
    answersFile,
    'if (!sealed || !isSameLedger || !this.#isWaitedFor(step, action)) return',
    'if (!isSameLedger || !this.#isWaitedFor(step, action)) return',
    'another run takes over, and copies of commands come',
  ),
  mutant(
    'R8',
    'a second grant is as good as the first',
    answersFile,
    'return before?.ledger === ledger && before.grant !== grant',
    'return false',
    'another run comes and goes while the first stands still',
  ),
  mutant(
    'R10',
    'whoever speaks is believed for any host',
    linkFile,
    'if (this.#hostByKey.get(key.id)?.host !== body.host || body.fleet',
    'if (body.fleet',
    'forged and old messages',
  ),
  mutant(
    'R10',
    'any answer of a host answers any question to it',
    linkFile,
    'const expectation = this.#expected.get(body.inReplyTo)',
    'const expectation = [...this.#expected.values()].findLast(({ host }) => host === body.host)',
  ),
  mutant(
    'R11',
    'nobody asks after silence',
    hostsFile,
    'const inquireAfterMs = 10_000',
    'const inquireAfterMs = 600_000',
  ),
  mutant(
    'R12',
    'a session in which nothing moves goes on',
    standstillFile,
    'return this.#stillMs > this.#longestMs',
    'return this.#stillMs > this.#longestMs * 1000',
    'an agent falls over whenever it looks',
  ),
  {
    rule: 'R14',
    name: 'a session measures by the wall clock',
    scheme: 'the clock of a coordinator steps',
    edits: [
      {
        file: executorFile,
        from: 'const nowMs = (this.#nowMs = this.#world.clock.sinceBoot())',
        to: 'const nowMs = (this.#nowMs = this.#world.clock.wall().getTime())',
      },
      {
        file: executorFile,
        from: 'this.#nowMs = this.#world.clock.sinceBoot()\n        for',
        to: 'this.#nowMs = this.#world.clock.wall().getTime()\n        for',
      },
      {
        file: linkFile,
        from: 'const askedAtMs = this.#clock.sinceBoot()',
        to: 'const askedAtMs = this.#clock.wall().getTime()',
      },
    ],
  },
  {
    rule: 'R14',
    name: 'a session measures by a clock that stands still while the machine is suspended',
    scheme: 'the machine of a coordinator is suspended',
    edits: [
      {
        file: executorFile,
        from: 'const nowMs = (this.#nowMs = this.#world.clock.sinceBoot())',
        to: 'const nowMs = (this.#nowMs = this.#world.clock.now())',
      },
      {
        file: executorFile,
        from: 'this.#nowMs = this.#world.clock.sinceBoot()\n        for',
        to: 'this.#nowMs = this.#world.clock.now()\n        for',
      },
      {
        file: linkFile,
        from: 'const askedAtMs = this.#clock.sinceBoot()',
        to: 'const askedAtMs = this.#clock.now()',
      },
    ],
  },
  mutant(
    'A1',
    'a waiver opens its gate and is not in the audit trail',
    executorFile,
    '.filter((draft) => draft !== undefined)',
    ".filter((draft) => draft !== undefined && draft.type !== 'filo.step.waived')",
  ),
]
