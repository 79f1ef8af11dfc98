import { readdirSync, readFileSync } from 'node:fs'

/** Processes of a program that this one has started, also by others. */
export function processesOf(program: string): number[] {
  return processes().filter((pid) => statusOf(pid, 'Name') === program && isBelow(pid, process.pid))
}

export function childrenOf(parent: number): number[] {
  return processes().filter((pid) => Number(statusOf(pid, 'PPid')) === parent)
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Resident memory, KiB; 0 where the process has ended. */
export function rssKiB(pid: number): number {
  return Number.parseInt(statusOf(pid, 'VmRSS'), 10) || 0
}

/** Open file descriptors; 0 where the process has ended. */
export function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0
  }
}

/** A line of proc_pid_status(5); empty where the process has ended. */
export function statusOf(pid: number, key: string): string {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    return new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''
  } catch {
    return ''
  }
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at !== 0; at = Number(statusOf(at, 'PPid'))) {
    if (at === ancestor) return true
  }
  return false
}
