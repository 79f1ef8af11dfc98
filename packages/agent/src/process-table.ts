import { readdirSync, readFileSync } from 'node:fs'
import { cut, systemClock, type ProcessRef } from '@filo/protocol'
import { printable } from './printable.ts'

// The machine's processes, by /proc (proc_pid_stat(5)).

/** What is read of a process; a zombie has ended and only waits for its parent. */
export interface ProcessStat {
  readonly pid: number
  /** As the kernel keeps it: 15 bytes of the program's file name, whatever it calls itself since. */
  readonly name: string
  readonly zombie: boolean
  /** The parent; 0 of a process that has none here. */
  readonly ppid: number
  readonly pgid: number
  readonly startTicks: number
}

/** When a process began, in clock ticks since boot; undefined where there is none. A zombie still has it. */
export function startTicks(pid: number): number | undefined {
  return readStat(pid)?.startTicks
}

/** proc_pid_stat(5) counts in units of USER_HZ, which is 100 on every architecture that Node runs on. */
const ticksPerSecond = 100

/** How long ago a process began, by the boot clock, milliseconds. */
export function ageMs({ startTicks: ticks }: ProcessStat): number {
  return Math.max(0, systemClock.sinceBoot() - (ticks * 1000) / ticksPerSecond)
}

const interpreter = /^(?:ba|da|k|z)?sh$|^(?:python|perl|ruby|node|php)[\d.]*$/

/** The running processes whose program, or the script that an interpreter runs, goes by one of these names. */
export function processesNamed(names: ReadonlySet<string>): ProcessRef[] {
  const kernelNames = new Set([...names].map((name) => name.slice(0, 15)))
  return runningProcesses()
    .filter(({ pid, name }) => {
      if (kernelNames.has(name)) return true
      const [program = '', script = ''] = commandLine(pid).map(lastPart)
      return names.has(program) || (interpreter.test(program) && names.has(script))
    })
    .map(processRef)
}

/** The process of that number; undefined where it has ended. */
export function processWithPid(pid: number): ProcessRef | undefined {
  const stat = readStat(pid)
  return stat === undefined || stat.zombie ? undefined : processRef(stat)
}

/** A process as an operator sees it. */
export function processRef({ pid, name }: ProcessStat): ProcessRef {
  const command = printable(commandLine(pid).join(' ')).replaceAll('\n', ' ').trim()
  return { pid, command: cut(command === '' ? `[${name}]` : command, 120) }
}

export function runningProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => readStat(Number(entry)) ?? [])
    .filter(({ zombie }) => !zombie)
}

export function readStat(pid: number): ProcessStat | undefined {
  const text = readProc(`/proc/${pid}/stat`)
  // The name stands in parentheses and may itself hold spaces and parentheses: the last one closes it.
  const close = text?.lastIndexOf(')') ?? -1
  if (text === undefined || close < 0) return undefined
  const fields = text.slice(close + 2).split(' ')
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, close),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
    ppid: Number(fields[1]),
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
