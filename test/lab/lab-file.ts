import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDir } from './cache.ts'

/** What of a lab is written down, for other processes to find it by. */
interface LabFile {
  readonly owner: { readonly pid: number; readonly startTicks: string }
  readonly hosts: readonly string[]
}

const fileName = 'lab.json'

export function labDir(id: string): string {
  return cacheDir('labs', id)
}

/** The names of all labs that are up, and of those whose process was killed. */
export function knownLabs(): string[] {
  if (!existsSync(cacheDir('labs'))) return []
  // One that has no file yet is being raised by somebody.
  return readdirSync(cacheDir('labs')).filter((id) => existsSync(join(labDir(id), fileName)))
}

/** The process that raised a lab, and ends it. */
export function ownerOf(id: string): LabFile['owner'] {
  return readLabFile(id).owner
}

/** Whether the process that raised a lab still runs. */
export function isOwned(id: string): boolean {
  const { pid, startTicks } = ownerOf(id)
  return startTicksOf(pid) === startTicks
}

/** Makes a lab known, with this process as its owner. */
export function writeLabFile(id: string, hosts: readonly string[]): void {
  mkdirSync(labDir(id), { recursive: true })
  const owner = { pid: process.pid, startTicks: startTicksOf(process.pid)! }
  const file: LabFile = { owner, hosts }
  writeFileSync(join(labDir(id), fileName), JSON.stringify(file))
}

export function readLabFile(id: string): LabFile {
  try {
    return JSON.parse(readFileSync(join(labDir(id), fileName), 'utf8')) as LabFile
  } catch (error) {
    throw new Error(`no lab named ${id} is up: npm run lab -- up`, { cause: error })
  }
}

/** Tells a process from a later one of the same number (proc_pid_stat(5), field 22); undefined where it has ended. */
function startTicksOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]
  } catch {
    return undefined
  }
}
