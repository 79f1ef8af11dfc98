import { daemontools, prepareGreenarrow } from './greenarrow/prepare.ts'
import type { Lab } from './lab.ts'
import type { HostSpec } from './raise.ts'
import { application, applicationUnderApache, database, mail, web } from './sympa/layers.ts'
import { prepareSympa } from './sympa/prepare.ts'

/** A fleet to raise in a lab: its hosts, and what is to be done on them once they are up. */
export interface LabFleet {
  readonly hosts: readonly HostSpec[]
  prepare(lab: Lab): Promise<void>
}

const fourHosts: readonly HostSpec[] = [
  { name: 'db', layer: database },
  { name: 'app', layer: application },
  { name: 'mail', layer: mail },
  { name: 'web', layer: web },
]

export const sympa: LabFleet = { hosts: fourHosts, prepare: (lab) => prepareSympa(lab, 'systemd') }
export const sympaByInitscripts: LabFleet = {
  hosts: fourHosts,
  prepare: (lab) => prepareSympa(lab, 'initscripts'),
}

/** WWSympa is spawned by the HTTP server, which stands beside Sympa. */
export const sympaSpawned: LabFleet = {
  hosts: [
    { name: 'db', layer: database },
    { name: 'app', layer: applicationUnderApache },
    { name: 'mail', layer: mail },
  ],
  prepare: (lab) => prepareSympa(lab, 'spawned'),
}

const mailEngine: readonly HostSpec[] = [{ name: 'ga1', layer: daemontools }, { name: 'app1' }]

export const greenarrow: LabFleet = {
  hosts: [...mailEngine, { name: 'mail1', layer: mail }],
  prepare: (lab) => prepareGreenarrow(lab, 'hosts'),
}

/** Those that `npm run lab -- up` knows by name. */
export const fleets: Readonly<Record<string, LabFleet>> = {
  sympa,
  'sympa-initscripts': sympaByInitscripts,
  'sympa-spawned': sympaSpawned,
  greenarrow,
  'greenarrow-whole': { hosts: mailEngine, prepare: (lab) => prepareGreenarrow(lab, 'whole') },
}
