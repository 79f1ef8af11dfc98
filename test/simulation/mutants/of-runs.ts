import { mutant, type Mutant } from './mutant.ts'

// The pure core of the coordinator without one of its guards.

const runFile = 'packages/coordinator/src/run/run.ts'
const phaseFile = 'packages/coordinator/src/run/phase.ts'
const decideFile = 'packages/coordinator/src/run/decide.ts'
const interpretFile = 'packages/coordinator/src/run/interpret.ts'
const answersFile = 'packages/coordinator/src/engine/answers.ts'
const hostsFile = 'packages/coordinator/src/engine/hosts.ts'
const hostStepFile = 'packages/coordinator/src/run/host-step.ts'
const hostsOfRunFile = 'packages/coordinator/src/run/hosts.ts'
const haltingFile = 'packages/coordinator/src/plan/halting.ts'
const waiverFile = 'packages/coordinator/src/run/waiver.ts'

export const mutantsOfRuns: readonly Mutant[] = [
  mutant(
    'R3',
    'a host goes down before what runs on it is proven to be stopped',
    haltingFile,
    'needs: [...(this.#stopsOn.get(host) ?? []), ...needs],\n      follows: this.#allEnded === undefined ? [] : [this.#allEnded],',
    'needs,\n      follows: [],',
  ),
  mutant(
    'R4',
    'silence alone means that a host is halted',
    hostStepFile,
    '|| !isAwaited || !goingDown?.hasLeft) return []',
    '|| !isAwaited || goingDown === undefined) return []',
  ),
  mutant(
    'R4',
    'silence from before an agent took leave counts',
    hostStepFile,
    'Math.max(known.sinceMs, goingDown.atMs) < goneAfterMs',
    'known.sinceMs < goneAfterMs',
  ),
  {
    rule: 'R10',
    name: 'a host has booted that answers from the boot that was to end',
    scheme: 'an agent is restarted while its host goes down',
    edits: [
      {
        file: hostStepFile,
        from: '!isAwaited || action?.going === undefined || boot === action.going.boot) return []',
        to: '!isAwaited || action?.going === undefined) return []',
      },
      {
        file: answersFile,
        from: 'if (boot !== action.going?.boot) return interpretReturn(this.#state, step, boot)',
        to: 'return interpretReturn(this.#state, step, boot)',
      },
    ],
  },
  mutant(
    'R10',
    'what was proven before a host booted by itself needs not be seen again',
    hostsOfRunFile,
    '    state.reviews.add(index)\n',
    '    return\n',
    'hosts crash whose part is done',
  ),
  mutant(
    'R3',
    'proofs never age',
    decideFile,
    'if (this.#nowMs - instance.proof.askedAtMs > this.#ageMs + settleMs) return false',
    '',
  ),
  mutant(
    'R3',
    'a proof from another process or boot of the host is as good',
    decideFile,
    'if (proof.incarnation !== host.incarnation || proof.boot !== host.boot) return false',
    '',
  ),
  mutant(
    'R3',
    'a proof of an earlier session is as good',
    decideFile,
    'if (proof.session !== session) return false',
    '',
  ),
  {
    rule: 'R3',
    name: 'an instance is asked about twice at once, and the answer that arrives later counts',
    edits: [
      {
        file: runFile,
        from: 'if (proof.incarnation === other.incarnation) return proof.answer > other.answer',
        to: 'if (proof.incarnation === other.incarnation) return true',
      },
      // As long as one answer is awaited before the next question, they cannot overtake each other.
      {
        file: hostsFile,
        from: 'this.#observeAtMs.set(name, Number.POSITIVE_INFINITY)',
        to: 'this.#observeAtMs.set(name, nowMs + 200)',
      },
    ],
  },
  mutant(
    'R3',
    'what is told from memory opens gates',
    interpretFile,
    'const askedAtMs = answered.isFromMemory ? longAgoMs : atMs',
    'const askedAtMs = nowMs',
  ),
  mutant(
    'R3',
    'a contradiction is no drift',
    interpretFile,
    `    if (contradicts(state, step, proof))
      return [observed, { type: 'drifted', step: current, reason: seen, proof }]
`,
    '',
  ),
  mutant(
    'R3',
    'a waiver opens the gates behind it before its own turn',
    runFile,
    "if (phase === 'waived' && !state.gates.isOpen(step)) return standings.waiting",
    '',
    'an operator gives their word for a step before its turn',
  ),
  mutant(
    'R3',
    'what is done opens the gates behind it although what it rests on has drifted',
    runFile,
    "if (phase === 'done' && !state.gates.hasNeeds(step)) return { met: false, ended: true }",
    '',
    'what was stopped or started does not stay so',
  ),
  mutant(
    'R3',
    'what failed is proven all the same',
    phaseFile,
    'failed: { met: false, ended: true }',
    'failed: { met: true, ended: true }',
  ),
  mutant(
    'R3',
    'what is unknown has ended',
    phaseFile,
    'unknown: { met: false, ended: false }',
    'unknown: { met: false, ended: true }',
  ),
  mutant(
    'R4',
    'what is unknown is sent again',
    runFile,
    "if (stepState.phase === 'unknown') stepState.unknownAtMs = event.atMs",
    "if (stepState.phase === 'unknown') enter(state, index, 'waiting')",
  ),
  mutant(
    'R7',
    'a failure holds nothing',
    decideFile,
    'if (state.troubled.size > 0 || state.unknown.size > 0) return false\n  // What was proven',
    '// What was proven',
  ),
  mutant(
    'R7',
    'a host that has not answered holds nothing',
    decideFile,
    "for (const host of dueHosts(state)) if (host.kind !== 'claimed') return false",
    '',
  ),
  mutant(
    'R7',
    'who was told to stop goes on',
    decideFile,
    'if (state.stopping !== null) return false\n  for',
    'for',
  ),
  mutant(
    'R7',
    'what is in flight is not awaited',
    decideFile,
    'const isOver = isIdle && state.inFlight.size === 0 && !isPatient(state, nowMs)',
    'const isOver = isIdle && !isPatient(state, nowMs)',
  ),
  mutant(
    'R7',
    'what failed is tried again at once',
    decideFile,
    "return (phase === 'failed' || phase === 'drifted') && session < state.session",
    "return (phase === 'failed' || phase === 'drifted') && session <= state.session",
  ),
  mutant(
    'R8',
    'who has lost a host goes on with the others',
    decideFile,
    "for (const host of dueHosts(state)) if (host.kind === 'fenced') return false",
    '',
    'another run takes some of the hosts',
  ),
  mutant(
    'R10',
    'a drifted step is none the worse for it',
    decideFile,
    "if (phases.has('failed') || phases.has('drifted')) return 'failed'",
    "if (phases.has('failed')) return 'failed'",
  ),
  mutant(
    'R10',
    'unknown is good enough',
    decideFile,
    "if (phases.has('unknown') || phases.has('sent')) return 'unresolved'",
    '',
  ),
  mutant(
    'R10',
    'waived is as good as done',
    decideFile,
    "return state.steps.some(({ phase }) => phase === 'waived') ? 'waived' : 'succeeded'",
    "return 'succeeded'",
  ),
  mutant(
    'R10',
    'a late result rewrites',
    interpretFile,
    'if (!isWaitedFor || stepState.action?.id !== action) return',
    'if (stepState.action?.id !== action) return',
  ),
  mutant(
    'R12',
    'what is unknown cannot be waived',
    waiverFile,
    "if (phase === 'sent') {",
    "if (phase === 'sent' || phase === 'unknown') {",
    'hooks are cut off',
  ),
  mutant(
    'R13',
    'a step is sent as often as it takes',
    decideFile,
    'export const attemptsPerSession = 5',
    'export const attemptsPerSession = 500',
    'another run takes over while actions go on',
  ),
]
