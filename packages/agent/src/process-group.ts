import { readdirSync, readFileSync } from 'node:fs'
import { cut, type ProcessRef } from '@filo/protocol'
import type { ProcessGroup } from './managers/manager.ts'
import { printable } from './printable.ts'

// Process groups by /proc (proc_pid_stat(5)). A number alone names nothing: pids are used again. A group is the
// same one only if its leader, where it still exists, began when it was noted. Once the leader is gone the kernel
// keeps the number from new processes for as long as the group has members, so what is found in it and is not
// older than the leader belongs to it. Numbers do not survive a boot: compare boot ids first.

/** What is read of a process; a zombie has ended and only waits for its parent. */
interface ProcessStat {
  readonly pid: number
  readonly name: string
  readonly zombie: boolean
  readonly pgid: number
  readonly startTicks: number
}

/** When a process began, in clock ticks since boot; undefined where there is none. A zombie still has it. */
export function startTicks(pid: number): number | undefined {
  return readStat(pid)?.startTicks
}

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

/** The processes of a group that still run. */
export function groupProcesses(group: ProcessGroup): ProcessRef[] {
  return membersOf(group).map(processRef)
}

/** Sends a signal to the group if it is still the same one; false where nothing is left to receive it. */
export function killGroup(group: ProcessGroup, signal: NodeJS.Signals): boolean {
  return membersOf(group).length > 0 && signalGroup(group.pgid, signal)
}

const interpreter = /^(?:ba|da|k|z)?sh$|^(?:python|perl|ruby|node|php)[\d.]*$/

/** The running processes whose program, or the script that an interpreter runs, goes by one of these names. */
export function processesNamed(names: ReadonlySet<string>): ProcessRef[] {
  return runningProcesses()
    .filter(({ pid, name }) => {
      if (names.has(name)) return true
      const [program = '', script = ''] = commandLine(pid).map(lastPart)
      return names.has(program) || (interpreter.test(program) && names.has(script))
    })
    .map(processRef)
}

/** The process of that number as an operator sees it; undefined where it has ended. */
export function processWithPid(pid: number): ProcessRef | undefined {
  const stat = readStat(pid)
  return stat === undefined || stat.zombie ? undefined : processRef(stat)
}

function processRef({ pid, name }: ProcessStat): ProcessRef {
  const command = printable(commandLine(pid).join(' ')).replaceAll('\n', ' ').trim()
  return { pid, command: cut(command === '' ? `[${name}]` : command, 120) }
}

function membersOf(group: ProcessGroup): ProcessStat[] {
  const leader = readStat(group.pgid)
  if (leader !== undefined && leader.startTicks !== group.startTicks) return []
  return runningProcesses().filter((stat) => stat.pgid === group.pgid && stat.startTicks >= group.startTicks)
}

function runningProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => readStat(Number(entry)))
    .filter((stat) => stat !== undefined && !stat.zombie) as ProcessStat[]
}

function readStat(pid: number): ProcessStat | undefined {
  const text = readProc(`/proc/${pid}/stat`)
  // The name stands in parentheses and may itself hold spaces and parentheses: the last one closes it.
  const close = text?.lastIndexOf(')') ?? -1
  if (text === undefined || close < 0) return undefined
  const fields = text.slice(close + 2).split(' ')
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, close),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
    pgid: Number(fields[2]),
    startTicks: Number(fields[19]),
  }
}

function commandLine(pid: number): string[] {
  return (readProc(`/proc/${pid}/cmdline`) ?? '').split('\0').filter((part) => part !== '')
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** undefined where the process has ended meanwhile, or is hidden from us. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
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
