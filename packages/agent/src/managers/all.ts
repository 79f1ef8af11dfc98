import type { Managers } from '../observer.ts'
import { direct } from '../runner.ts'
import { isSystemd } from '../scope.ts'
import { Canopsis } from './canopsis.ts'
import { Command } from './command.ts'
import { Daemontools } from './daemontools.ts'
import { Greenarrow } from './greenarrow.ts'
import { Lsb } from './lsb.ts'
import { supervisord } from './supervisord.ts'
import { Systemd } from './systemd.ts'

/** Every manager by its kind, as a definition names it. @param onSystemd whether systemd is PID 1. */
export function createManagers(runner = direct, onSystemd = isSystemd()): Managers {
  const systemd = new Systemd({ runner })
  const lsb = new Lsb(onSystemd ? systemd : undefined, runner)
  const canopsis = new Canopsis(lsb, supervisord)
  const daemontools = new Daemontools(runner)
  return {
    systemd,
    lsb,
    supervisord,
    daemontools,
    command: new Command(runner),
    greenarrow: new Greenarrow(runner),
    canopsis,
  }
}
