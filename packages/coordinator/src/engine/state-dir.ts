import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where a coordinator keeps what it must not lose: one folder for each fleet. */
export interface StateDir {
  readonly root: string
  readonly journal: string
  readonly keys: string
  /** The broker's accounts, where Filo made them. */
  readonly accounts: string
  /** Locks of runs that are being carried out. */
  readonly locks: string
  /** How far a consumer of audit events is. */
  consumer(name: string): string
  /** With `broker: local`: the state of each host's agent. */
  host(host: string): string
}

/**
 * The state directory of a fleet: `base` (`--state`, FILO_STATE), or `$XDG_STATE_HOME/filo`, by default
 * `~/.local/state/filo` (XDG Base Directory Specification). Made if it is not there; only its owner may read it.
 */
export function openStateDir(
  fleet: string,
  base: string | undefined,
  environment: NodeJS.ProcessEnv,
): StateDir {
  const home = environment['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state')
  const root = join(base ?? environment['FILO_STATE'] ?? join(home, 'filo'), fleet)
  const locks = join(root, 'locks')
  const keys = join(root, 'keys')
  const consumers = join(root, 'consumers')
  for (const dir of [root, locks, keys, consumers]) mkdirSync(dir, { recursive: true, mode: 0o700 })
  return {
    root,
    journal: join(root, 'journal.db'),
    keys,
    accounts: join(root, 'accounts.json'),
    locks,
    consumer: (name) => join(consumers, `${encodeURIComponent(name)}.db`),
    host: (host) => join(root, 'hosts', host),
  }
}
