import type { ProcessGroup } from './managers/manager.ts'
import { readStat, runningProcesses, type ProcessStat } from './process-table.ts'

// Process groups. A number alone names nothing: pids are used again. A group is the same one only if its leader,
// where it still exists, began when it was noted. Once the leader is gone the kernel keeps the number from new
// processes for as long as the group has members, so what is found in it and is not older than the leader belongs
// to it. Numbers do not survive a boot: compare boot ids first.

/** Whether any process of the group still runs, its leader or one that it left behind. */
export function isGroupAlive(group: ProcessGroup): boolean {
  // Cheaper than reading /proc, and the usual case; what it finds may be zombies only.
  if (!signalGroup(group.pgid, 0)) return false
  return membersOf(group).length > 0
}

/** Whether the process that began the group still runs, as a script does that has not returned. */
export function isLeaderAlive(group: ProcessGroup): boolean {
  const leader = readStat(group.pgid)
  return leader !== undefined && !leader.zombie && leader.startTicks === group.startTicks
}

/** Sends a signal to the group if it is still the same one; false where nothing is left to receive it. */
export function killGroup(group: ProcessGroup, signal: NodeJS.Signals): boolean {
  return membersOf(group).length > 0 && signalGroup(group.pgid, signal)
}

function membersOf(group: ProcessGroup): ProcessStat[] {
  const leader = readStat(group.pgid)
  if (leader !== undefined && leader.startTicks !== group.startTicks) return []
  return runningProcesses().filter((stat) => stat.pgid === group.pgid && stat.startTicks >= group.startTicks)
}

/** kill(2) with a negative pid; 0 only asks. A group that we may not signal (EPERM) exists all the same. */
function signalGroup(pgid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pgid, signal)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
