import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

// Which processes live in a unit's control group (cgroups(7)). systemd keeps its tree in the one hierarchy of
// version 2, or, where the machine still mounts version 1, in a hierarchy of its own beside it.

const root = '/sys/fs/cgroup'

/**
 * The processes in a control group and all below it; 0 stands for one that our pid namespace does not show.
 * undefined where it cannot be told. A group that is not there holds nobody: systemd removes empty ones.
 */
export function processesInCgroup(controlGroup: string, mountedAt = root): number[] | undefined {
  const mounts = [mountedAt, join(mountedAt, 'systemd'), join(mountedAt, 'unified')]
  const hierarchies = mounts.filter((mount) => existsSync(join(mount, 'cgroup.procs')))
  if (hierarchies.length === 0) return undefined
  try {
    return hierarchies.flatMap((hierarchy) => processesBelow(join(hierarchy, controlGroup)))
  } catch {
    return undefined
  }
}

function processesBelow(dir: string): number[] {
  try {
    const own = readFileSync(join(dir, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
    const children = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [...own, ...children.flatMap(({ name }) => processesBelow(join(dir, name)))]
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENODEV') return [] // Removed while we looked.
    // A threaded group's processes are listed in the group above, which has been read.
    if (code === 'EOPNOTSUPP' || code === 'ENOTSUP') return []
    throw error
  }
}

/** The groups of a process in systemd's hierarchy: lines `0::/path` (version 2), `1:name=systemd:/path` (version 1). */
export function cgroupsOf(pid: number): string[] {
  try {
    return readCgroups(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
  } catch {
    return [] // It has ended.
  }
}

export function readCgroups(text: string): string[] {
  return text
    .split('\n')
    .map((line) => /^\d+:(?:name=systemd)?:(\/.*)$/.exec(line)?.[1])
    .filter((path) => path !== undefined)
}
