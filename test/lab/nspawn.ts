import { rmdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** systemd-nspawn decides by this variable what its payload sees of control groups: version 2 only. */
export const nspawnEnv = { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' }

/** systemd-nspawn(1) without the help of a systemd on the machine; to be run in a control group of the lab's. */
export function nspawnArgs(root: string, machine: string): string[] {
  return [
    'systemd-nspawn',
    '--quiet',
    `--directory=${root}`,
    `--machine=${machine}`,
    '--register=no',
    '--keep-unit',
    '--link-journal=no',
    '--timezone=off',
    '--console=pipe',
  ]
}

/** Takes away what nspawn leaves in /run for the machine that has its disk at `root`, which is still mounted. */
export function forgetNspawn(root: string, machine: string): void {
  const { dev, ino } = statSync(root)
  rmSync(`/run/systemd/nspawn/propagate/${machine}`, { recursive: true, force: true })
  rmSync(`/run/systemd/nspawn/locks/inode-${dev}:${ino}`, { force: true })
  for (const dir of ['propagate', 'locks', '.']) removeIfEmpty(join('/run/systemd/nspawn', dir))
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir)
  } catch {
    // Others of our hosts, or of somebody else's, are in it.
  }
}
