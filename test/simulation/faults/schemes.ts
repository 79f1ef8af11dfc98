import type { Intention } from '../../../packages/coordinator/src/plan/plan.ts'
import type { PowerManner } from '../actors/managers.ts'
import type { Weather } from '../world/network.ts'
import type { Manner } from '../world/service.ts'
import type { Phase } from './phases.ts'

/** What goes wrong together in some plays, for what takes several things at once and would come about too rarely. */
export interface Scheme {
  /** What the runs are, instead of anything. */
  readonly verbs?: readonly Intention['verb'][]
  /** How hosts take a command to go down, by shares. */
  readonly powerManners?: readonly (readonly [PowerManner, number])[]
  /** Rows of the table of faults. */
  readonly faults: readonly string[]
  readonly phases: readonly Phase[]
  /** How long after its phase has begun a fault strikes, milliseconds. */
  readonly delaysMs: readonly number[]
  readonly weather?: Partial<Weather>
  /** How services take requests, by shares. */
  readonly manners?: readonly (readonly [Manner, number])[]
}

const onTheWay = ['sent', 'started', 'acting', 'settling'] as const

export const schemes: readonly Scheme[] = [
  // Two runs on the same hosts, while actions go on.
  {
    faults: ['another run takes over'],
    phases: onTheWay,
    delaysMs: [0, 10, 500, 2000],
    manners: [
      ['lingers', 0.3],
      ['hangs', 0.2],
    ],
  },
  // A run stands still until its leases are over, and another begins meanwhile.
  {
    faults: ['coordinator frozen, another run asks'],
    phases: ['before send', 'sent', 'started', 'acting', 'settling', 'proof'],
    delaysMs: [0, 10, 500],
    manners: [['hangs', 0.4]],
  },
  // Hands at the services while an agent looks at them.
  {
    faults: ['service started by hand', 'service stopped by hand'],
    phases: ['proof'],
    delaysMs: [0, 100, 500, 1000, 1500],
  },
  // A ledger is lost, and copies of commands come to the new one.
  {
    faults: ['ledger lost'],
    phases: ['sent', 'started', 'acting'],
    delaysMs: [0, 1, 100],
    weather: { repeated: 0.4, late: 0.2 },
  },
  // Commands lie in wait for an agent that was another when they were sent.
  {
    faults: ['agent killed', 'agent frozen', 'host suspended', "agent's disk very slow"],
    phases: ['before send', 'sent', 'started'],
    delaysMs: [0, 0, 1],
    weather: { repeated: 0.2, late: 0.3 },
  },
  // A host is told to go down, and nobody hears whether it does; or another run comes meanwhile.
  {
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
  {
    faults: ['message forged', 'old message replayed'],
    phases: [...onTheWay, 'finished', 'proof'],
    delaysMs: [0, 1, 100],
  },
]
