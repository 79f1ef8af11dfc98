import { daemontools, prepareGreenarrow } from './greenarrow/prepare.ts'
import type { Lab } from './lab.ts'
import type { HostSpec } from './raise.ts'
import { application, applicationUnderApache, database, mail, web } from './sympa/layers.ts'
import { unprivileged } from './unprivileged.ts'
import { furnishSympa, prepareSympa, type Way } from './sympa/prepare.ts'

/** A fleet to raise in a lab. */
export interface LabFleet {
  readonly hosts: readonly HostSpec[]
  /** What is to be written on the disks of its hosts before they are switched on. */
  furnish?(lab: Lab): Promise<void>
  /** What is to be done once they are up; the broker may still be starting. */
  prepare(lab: Lab): Promise<void>
}

const fourHosts: readonly HostSpec[] = [
  { name: 'db', layer: database },
  { name: 'app', layer: application },
  { name: 'mail', layer: mail },
  { name: 'web', layer: web },
]

const sympaOn = (hosts: readonly HostSpec[], way: Way): LabFleet => ({
  hosts,
  furnish: (lab) => furnishSympa(lab, way),
  prepare: (lab) => prepareSympa(lab, way),
})

export const sympa = sympaOn(fourHosts, 'systemd')
export const sympaByInitscripts = sympaOn(fourHosts, 'initscripts')

/** WWSympa is spawned by the HTTP server, which stands beside Sympa. */
export const sympaSpawned = sympaOn(
  [
    { name: 'db', layer: database },
    { name: 'app', layer: applicationUnderApache },
    { name: 'mail', layer: mail },
  ],
  'spawned',
)

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
  unprivileged,
  'greenarrow-whole': { hosts: mailEngine, prepare: (lab) => prepareGreenarrow(lab, 'whole') },
}
