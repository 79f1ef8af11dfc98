import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What of the machine a lab could change by mistake, by name: the modes of /dev, the sysctls, where PID 1 is. */
export type Footprint = ReadonlyMap<string, string>

/** Counters and draws: these change by themselves. */
const restless =
  /^\/proc\/sys\/(?:fs\/(?:dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota\/)|kernel\/(?:ns_last_pid|random\/|pty\/nr)|net\/netfilter\/nf_conntrack_count)/

export function footprint(): Footprint {
  const marks = new Map<string, string>()
  for (const path of filesBelow('/dev', ['/dev/pts', '/dev/shm', '/dev/mqueue'])) {
    const { mode, uid, gid, rdev } = lstatSync(path)
    marks.set(path, `mode ${mode.toString(8)}, owner ${uid}:${gid}, device ${rdev}`)
  }
  for (const path of filesBelow('/proc/sys', [])) {
    const value = restless.test(path) ? undefined : readIfPossible(path)
    if (value !== undefined) marks.set(path, value)
  }
  marks.set('/proc/1/cgroup', readFileSync('/proc/1/cgroup', 'utf8'))
  return marks
}

/** What differs, in words. A sysctl that was not there before came with a module of the kernel. */
export function differences(before: Footprint, after: Footprint): string[] {
  const changed = [...before].filter(([path, mark]) => after.get(path) !== mark)
  const added = [...after.keys()].filter((path) => path.startsWith('/dev/') && !before.has(path))
  return [
    ...changed.map(
      ([path, mark]) => `${path}: ${mark.trim()} became ${after.get(path)?.trim() ?? 'nothing'}`,
    ),
    ...added.map((path) => `${path} is new`),
  ]
}

function filesBelow(dir: string, except: readonly string[]): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (except.includes(path)) return []
    return entry.isDirectory() ? [path, ...filesBelow(path, except)] : [path]
  })
}

function readIfPossible(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // A directory, or one that can only be written.
  }
}
