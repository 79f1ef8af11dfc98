import { existsSync } from 'node:fs'
import type { Managers } from '../observer.ts'
import { command } from './command.ts'
import { Lsb } from './lsb.ts'
import { supervisord } from './supervisord.ts'
import { Systemd } from './systemd.ts'

/** Every manager by its kind, as a definition names it. */
export function createManagers(): Managers {
  const systemd = new Systemd()
  // sd_booted(3): how to tell whether systemd is PID 1.
  const lsb = new Lsb(existsSync('/run/systemd/system') ? systemd : undefined)
  return { systemd, lsb, supervisord, command }
}
