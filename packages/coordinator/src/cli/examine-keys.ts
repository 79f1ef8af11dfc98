import { existsSync, statSync } from 'node:fs'
import { keyFiles, readCoordinatorKey, readHostKey, readOldKey } from '../engine/keys.ts'
import type { StateDir } from '../engine/state-dir.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { exitCodes } from './exit-code.ts'
import { fine, warning, wrong, type Finding } from './finding.ts'
import { counted } from './plan-view.ts'

/** Whether every key is there and can be read, and no private key by anybody else. */
export function examineKeys(fleet: Fleet, dir: StateDir): Finding[] {
  if (fleet.broker === 'local') return [fine('keys', 'broker: local needs none in files')]
  const hosts = [...fleet.hosts.keys()]
  const own = keyFiles(dir.keys)
  if (!existsSync(own.secret) && !existsSync(own.open)) {
    return [
      wrong('keys', exitCodes.configuration, `there is none yet in ${dir.keys}`, 'make one: filo keys init'),
    ]
  }
  const findings = [
    ...unreadable(() => readCoordinatorKey(dir.keys)),
    ...hosts.flatMap((host) => unaccepted(dir, host)),
    // The private key of a host may have been taken away from here, once its agent has it.
    ...[undefined, ...hosts].flatMap((host) => tooOpen(keyFiles(dir.keys, host).secret)),
  ]
  if (findings.length > 0) return findings
  const old = readOldKey(dir.keys)
  if (old !== undefined) {
    const advice = `once no host is named below as going by it: filo keys revoke ${old.id.slice(0, 16)}`
    return [
      warning('keys', `the key of the coordinator is being replaced: ${old.id} signs beside it`, advice),
    ]
  }
  return [fine('keys', `of the coordinator and ${counted(hosts.length, 'host')}, in ${dir.keys}`)]
}

/** Whether the state directory is for its owner only. */
export function examineStateDir({ root }: StateDir): Finding[] {
  const findings = tooOpen(root, 'state')
  return findings.length > 0 ? findings : [fine('state', root)]
}

function unaccepted(dir: StateDir, host: string): Finding[] {
  const faults = unreadable(() => readHostKey(dir.keys, host))
  if (faults.length > 0 || readHostKey(dir.keys, host) !== undefined) return faults
  // The other hosts can be worked with all the same.
  const advice = `on ${host}: filo-agent --fingerprint; then here: filo enroll ${host}`
  return [warning('keys', `no key of ${host} has been accepted`, advice)]
}

function unreadable(read: () => unknown): Finding[] {
  try {
    read()
    return []
  } catch (error) {
    const advice =
      'bring it back from a backup; or filo keys init, and configure all agents anew: filo agent-config HOST -o DIR'
    return [wrong('keys', exitCodes.configuration, (error as Error).message, advice)]
  }
}

function tooOpen(file: string, about: Finding['about'] = 'keys'): Finding[] {
  if (!existsSync(file)) return []
  const { mode } = statSync(file)
  if ((mode & 0o077) === 0) return []
  const shown = (mode & 0o777).toString(8)
  const text = `${file} may be used by others than its owner (${shown})`
  return [wrong(about, exitCodes.configuration, text, `chmod go= ${file}`)]
}
