import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Behaviour, Services } from './services.ts'

export interface FleetService extends Behaviour {
  /** By default a host of its own, `NAME-host`. */
  readonly host?: string
  readonly needs?: string | readonly string[]
  /** More keys of the service in the fleet file, as flow YAML: `stop_timeout: 1s, keep: true`. */
  readonly more?: string
}

export type FleetServices = Readonly<Record<string, FleetService>>

/** Web needs mail needs app needs db: each a real process on a host of its own. */
export const fourInARow = {
  db: {},
  app: { needs: 'db' },
  mail: { needs: 'app' },
  web: { needs: 'mail' },
} satisfies FleetServices

/** The hosts of such a fleet, in the order in which they are first named. */
export function hostsOf(declared: FleetServices): string[] {
  return [...new Set(Object.entries(declared).map(([name, { host }]) => host ?? `${name}-host`))]
}

/**
 * Writes `filo.yaml` into the fleet's directory, and makes its services what it says.
 * @param hostEntry what it says of a host, as flow YAML
 */
export function writeFleetFile(
  dir: string,
  broker: string,
  services: Services,
  declared: FleetServices,
  hostEntry: (host: string) => string = () => '{}',
): void {
  const entries = Object.entries(declared).map(([name, { host = `${name}-host`, needs = [], more }]) => {
    const needed = [needs].flat().join(', ')
    return `  ${name}: { hosts: ${host}, needs: [${needed}], ${services.command(name)}${more ? `, ${more}` : ''} }`
  })
  const hosts = hostsOf(declared).map((host) => `${host}: ${hostEntry(host)}`)
  const lines = [
    'fleet: test',
    `broker: ${broker}`,
    `hosts: { ${hosts.join(', ')} }`,
    'services:',
    ...entries,
  ]
  writeFileSync(join(dir, 'filo.yaml'), `${lines.join('\n')}\n`)
  for (const [name, service] of Object.entries(declared)) services.add(name, service)
}
