import { filo, startFilo, type Ended, type FiloOptions, type RunningFilo } from './filo.ts'
import { fourInARow, writeFleetFile, type FleetServices } from './fleet-file.ts'
import { Services } from './services.ts'
import { tempDir } from './temp-dir.ts'

/** A fleet of real services in a directory of its own, with `broker: local`. */
export interface LocalFleet extends AsyncDisposable {
  readonly path: string
  readonly services: Services
  /** Runs `filo ARGS` in the fleet's directory, to its end. */
  filo(...args: string[]): Promise<Ended>
  start(args: readonly string[], options?: Partial<FiloOptions>): RunningFilo
  /** Writes the fleet file anew. */
  declare(services: FleetServices): void
}

export function localFleet(declared: FleetServices = fourInARow): LocalFleet {
  const dir = tempDir()
  const services = new Services(dir.path)
  const declare: LocalFleet['declare'] = (all) => writeFleetFile(dir.path, 'local', services, all)
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
