import type { Intention } from '../../../packages/coordinator/src/plan/plan.ts'
import type { FailurePolicy } from '../../../packages/coordinator/src/run/run-event.ts'
import type { PowerManner } from '../actors/managers.ts'
import type { FleetTraits } from '../fleet.ts'
import type { Weather } from '../world/network.ts'
import type { Manner } from '../world/service.ts'
import type { Phase } from './phases.ts'

/** What goes wrong together in some plays, for what takes several things at once and would come about too rarely. */
export interface Scheme {
  /** What the runs are, instead of anything. */
  readonly verbs?: readonly Intention['verb'][]
  readonly policy?: FailurePolicy
  readonly fleet?: FleetTraits
  /** How hosts take a command to go down, by shares. */
  readonly powerManners?: readonly (readonly [PowerManner, number])[]
  /** Rows of the table of faults. */
  readonly faults: readonly string[]
  readonly phases: readonly Phase[]
  /** Whether they strike no hosts but those that have been told to go down. */
  readonly isOfHostsGoingDown?: boolean
  /** How long after its phase has begun a fault strikes, milliseconds. */
  readonly delaysMs: readonly number[]
  /** Whether each of them strikes whenever its phase comes about, rather than once. */
  readonly isTireless?: boolean
  readonly weather?: Partial<Weather>
  /** How services take requests, by shares. */
  readonly manners?: readonly (readonly [Manner, number])[]
  /** How many people look at a host whenever something has changed there; else it is one, and not always. */
  readonly onlookers?: number
  /** How soon an agent that has ended is started again. */
  readonly startsAgainAfterMs?: number
  /** How long services take at most to do what they are told, milliseconds. */
  readonly obeysWithinMs?: number
}

const onTheWay = ['sent', 'started', 'acting', 'settling'] as const

export const schemes = {
  'another run takes over while actions go on': {
    faults: ['another run takes over'],
    phases: onTheWay,
    delaysMs: [0, 10, 500, 2000],
    manners: [
      ['lingers', 0.3],
      ['hangs', 0.2],
    ],
  },
  'another run takes over, and copies of commands come': {
    faults: ['another run takes over'],
    phases: ['acting', 'settling'],
    delaysMs: [0, 10, 500],
    weather: { repeated: 0.6, late: 0.2 },
    manners: [['hangs', 0.8]],
  },
  'another run takes over, and commands of the first come late': {
    faults: ['another run takes over'],
    phases: ['sent'],
    delaysMs: [0, 1],
    weather: { late: 0.5 },
  },
  'another run begins while the first stands still': {
    faults: ['coordinator frozen, another run asks'],
    phases: ['before send', 'sent', 'started', 'acting', 'settling', 'proof'],
    delaysMs: [0, 10, 500],
    manners: [['hangs', 0.4]],
  },
  'hands at what is looked at': {
    faults: ['service started by hand', 'service stopped by hand'],
    phases: ['proof'],
    delaysMs: [0, 100, 500, 1000, 1500],
  },
  'a ledger is lost, and copies of commands come to the new one': {
    faults: ['ledger lost'],
    phases: ['sent', 'started', 'acting'],
    delaysMs: [0, 1, 100],
    weather: { repeated: 0.4, late: 0.2 },
  },
  'commands lie in wait for an agent that was another': {
    faults: ['agent killed', 'agent frozen', 'host suspended', "agent's disk very slow"],
    phases: ['before send', 'sent', 'started'],
    delaysMs: [0, 0, 1],
    weather: { repeated: 0.2, late: 0.3 },
  },
  'a host is told to go down, and nobody hears whether it does': {
    verbs: ['reboot', 'halt', 'halt'],
    powerManners: [
      ['lies', 0.3],
      ['dawdles', 0.4],
    ],
    faults: ['host cut off', 'agent frozen', 'agent killed', 'host crashes', 'another run takes over'],
    phases: ['acting', 'settling'],
    delaysMs: [100, 1000, 5000],
    weather: { lost: 0.15 },
  },
  'forged and old messages': {
    faults: ['message forged', 'old message replayed'],
    phases: [...onTheWay, 'finished', 'proof'],
    delaysMs: [0, 1, 100],
  },
  'an operator gives their word for a step before its turn': {
    verbs: ['stop', 'start', 'restart'],
    faults: ['step waived'],
    phases: ['claim', 'before send', 'sent', 'acting'],
    delaysMs: [0, 100, 1000],
    obeysWithinMs: 15_000,
  },
  'what was stopped or started does not stay so': {
    verbs: ['stop', 'start', 'restart'],
    fleet: { isLarge: true },
    faults: ['service started by hand', 'service stopped by hand'],
    phases: ['settling', 'finished', 'before send', 'proof'],
    delaysMs: [0, 500, 2000],
    manners: [['relapses', 0.3]],
    obeysWithinMs: 8000,
  },
  'another run takes over a host that goes down': {
    verbs: ['reboot', 'halt'],
    powerManners: [
      ['lies', 0.2],
      ['dawdles', 0.8],
    ],
    faults: ['another run takes over'],
    phases: ['acting', 'settling'],
    isOfHostsGoingDown: true,
    delaysMs: [0, 500],
  },
  'an agent is restarted while its host goes down': {
    verbs: ['reboot'],
    powerManners: [
      ['lies', 0.5],
      ['dawdles', 0.5],
    ],
    faults: ['agent killed'],
    phases: ['acting', 'settling'],
    isOfHostsGoingDown: true,
    delaysMs: [100, 1000, 5000],
  },
  'another run takes some of the hosts': {
    policy: 'continue',
    fleet: { isLarge: true },
    faults: ['another run takes over'],
    phases: ['before send', 'sent', 'acting', 'settling'],
    delaysMs: [0, 100, 1000],
    obeysWithinMs: 8000,
  },
  'another run comes and goes while the first stands still': {
    faults: ['coordinator frozen, another run asks'],
    phases: ['before send', 'acting', 'settling', 'proof'],
    delaysMs: [0, 10, 500],
    manners: [],
    obeysWithinMs: 500,
  },
  'another run begins while actions of the first go on, which stands still': {
    faults: ['coordinator frozen, another run asks'],
    phases: ['acting'],
    delaysMs: [0, 10, 500],
    manners: [['hangs', 0.8]],
  },
  'commands come late, and whoever sent them stands still': {
    faults: ['coordinator frozen'],
    phases: ['sent'],
    delaysMs: [0, 1],
    weather: { late: 0.5, 'hours late': 0.1 },
  },
  'clocks of hosts step': {
    faults: ["agent's clock steps"],
    phases: ['before send', ...onTheWay, 'proof'],
    delaysMs: [0, 100, 1000],
  },
  'a command waits for an agent that stands still': {
    faults: ['agent frozen', 'host suspended'],
    phases: ['sent'],
    delaysMs: [0, 0, 1],
  },
  'a start waits for a very slow disk': {
    faults: ["agent's disk very slow"],
    phases: ['before send', 'sent'],
    delaysMs: [0],
  },
  'hosts crash whose part is done': {
    verbs: ['stop', 'start', 'start', 'restart'],
    faults: ['host crashes'],
    phases: ['finished', 'before send', 'proof'],
    delaysMs: [0, 100, 1000],
    obeysWithinMs: 15_000,
  },
  'services hang, and people look': {
    faults: [],
    phases: [],
    delaysMs: [],
    manners: [['hangs', 0.6]],
    onlookers: 1,
  },
  'services fall over, and people look': {
    verbs: ['start', 'restart'],
    faults: [],
    phases: [],
    delaysMs: [],
    fleet: { settle: '2s' },
    manners: [['flaps', 0.9]],
    onlookers: 8,
  },
  'hooks are cut off': {
    fleet: { hooks: 0.5 },
    faults: ['agent killed', 'ledger lost'],
    phases: ['started', 'acting', 'settling'],
    delaysMs: [0, 100],
  },
  'an agent falls over whenever it looks': {
    faults: ['agent killed'],
    phases: ['proof'],
    delaysMs: [10],
    isTireless: true,
    startsAgainAfterMs: 100,
  },
  'the clock of a coordinator steps': {
    faults: ["coordinator's clock steps"],
    phases: ['acting', 'settling', 'finished'],
    delaysMs: [0, 1000, 5000],
    obeysWithinMs: 15_000,
  },
  'the machine of a coordinator is suspended': {
    faults: ['coordinator suspended'],
    phases: ['acting', 'settling', 'finished'],
    delaysMs: [0, 1000, 5000],
    obeysWithinMs: 15_000,
  },
} as const satisfies Record<string, Scheme>

export type SchemeName = keyof typeof schemes

export const schemeNames = Object.keys(schemes) as SchemeName[]

export function schemeCalled(name: SchemeName): Scheme {
  return schemes[name]
}
