import { readFileSync } from 'node:fs'
import { requirePrograms, type Needed } from '../support/packages.ts'
import { cgroupRoot } from './cgroup.ts'
import { attempt } from './command.ts'

const programs: readonly Needed[] = [
  ['systemd-nspawn', 'systemd-container'],
  ['mmdebstrap', 'mmdebstrap'],
  ['nft', 'nftables'],
  ['ip', 'iproute2'],
  ['nsenter', 'util-linux'],
]

/** Why the lab cannot run on this machine; undefined where it can. Installs the packages that it needs. */
export async function obstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `it needs Linux, and this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'only root can make namespaces and mount disks: run it as root'
  if (cgroupRoot() === undefined) return 'no version 2 hierarchy of control groups is mounted (cgroups(7))'
  if (!readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n')) return 'the kernel has no overlayfs'
  const namespaces = await attempt([
    'unshare',
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    '--pid',
    '--fork',
    'true',
  ])
  if (namespaces.code !== 0) return `namespaces cannot be made here: ${namespaces.stderr.trim()}`
  try {
    await requirePrograms(programs)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}
