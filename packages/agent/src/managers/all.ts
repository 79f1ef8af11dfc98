import type { Managers } from '../observer.ts'
import { command } from './command.ts'
import { lsb } from './lsb.ts'
import { supervisord } from './supervisord.ts'
import { Systemd } from './systemd.ts'

/** Every manager by its kind, as a definition names it. */
export function createManagers(): Managers {
  return { systemd: new Systemd(), lsb, supervisord, command }
}
