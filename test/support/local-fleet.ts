import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { filo, startFilo, type Ended, type FiloOptions, type RunningFilo } from './filo.ts'
import { Services, type Behaviour } from './services.ts'
import { tempDir } from './temp-dir.ts'

export interface FleetService extends Behaviour {
  /** By default a host of its own, `NAME-host`. */
  readonly host?: string
  readonly needs?: string | readonly string[]
  /** More keys of the service in the fleet file, as flow YAML: `stop_timeout: 1s, keep: true`. */
  readonly more?: string
}

/** A fleet of real services in a directory of its own, with `broker: local`. */
export interface LocalFleet extends AsyncDisposable {
  readonly path: string
  readonly services: Services
  /** Runs `filo ARGS` in the fleet's directory, to its end. */
  filo(...args: string[]): Promise<Ended>
  start(args: readonly string[], options?: Partial<FiloOptions>): RunningFilo
  /** Writes the fleet file anew. */
  declare(services: Readonly<Record<string, FleetService>>): void
}

/** Web needs mail needs app needs db: each a real process on a host of its own. */
export const fourInARow = {
  db: {},
  app: { needs: 'db' },
  mail: { needs: 'app' },
  web: { needs: 'mail' },
} satisfies Record<string, FleetService>

export function localFleet(declared: Readonly<Record<string, FleetService>> = fourInARow): LocalFleet {
  const dir = tempDir()
  const services = new Services(dir.path)
  const declare: LocalFleet['declare'] = (all) => {
    const hosts = new Set(Object.entries(all).map(([name, { host }]) => host ?? `${name}-host`))
    const entries = Object.entries(all).map(([name, { host = `${name}-host`, needs = [], more }]) => {
      const needed = [needs].flat().join(', ')
      return `  ${name}: { hosts: ${host}, needs: [${needed}], ${services.command(name)}${more ? `, ${more}` : ''} }`
    })
    const lines = [
      'fleet: test',
      'broker: local',
      `hosts: { ${[...hosts].map((host) => `${host}: {}`).join(', ')} }`,
    ]
    writeFileSync(join(dir.path, 'filo.yaml'), [...lines, 'services:', ...entries, ''].join('\n'))
    for (const [name, service] of Object.entries(all)) services.add(name, service)
  }
  declare(declared)
  return {
    path: dir.path,
    services,
    filo: (...args) => filo(args, { cwd: dir.path }),
    start: (args, options) => startFilo(args, { cwd: dir.path, ...options }),
    declare,
    async [Symbol.asyncDispose]() {
      await services[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    },
  }
}
