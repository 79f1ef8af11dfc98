import { existsSync } from 'node:fs'
import type { Managers } from '../observer.ts'
import { Canopsis } from './canopsis.ts'
import { command } from './command.ts'
import { daemontools } from './daemontools.ts'
import { greenarrow } from './greenarrow.ts'
import { Lsb } from './lsb.ts'
import { supervisord } from './supervisord.ts'
import { Systemd } from './systemd.ts'

/** Every manager by its kind, as a definition names it. */
export function createManagers(): Managers {
  const systemd = new Systemd()
  // sd_booted(3): how to tell whether systemd is PID 1.
  const lsb = new Lsb(existsSync('/run/systemd/system') ? systemd : undefined)
  const canopsis = new Canopsis(lsb, supervisord)
  return { systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis }
}
