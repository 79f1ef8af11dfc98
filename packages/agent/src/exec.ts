import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Output } from '@filo/protocol'
import type { Act, ProcessGroup } from './managers/manager.ts'
import { OutputFile } from './output-file.ts'
import { printable } from './printable.ts'
import { isGroupAlive, killGroup } from './process-group.ts'
import { startTicks } from './process-table.ts'

// The only file of the agent that starts a process, by Node's own means: a library around them costs as much processor
// time again as the start itself.
//
// Every process begins a session and a process group of its own, so that it is ended with all that it started, and
// never together with the agent. Scripts besides leave the agent's control group where they can (scope.ts): systemd
// ends units by that.

/** How a process ended. Not being able to start is one of the ways, not an exception. */
export type Exit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: string }
  /** Its time was up or the action was aborted, and its group was killed; `survived` if something of it would not die. */
  | { readonly kind: 'aborted'; readonly survived: boolean }
  | { readonly kind: 'not-started'; readonly code: string; readonly error: string }

/** What came of `look`. Output beyond `lookBytes` of either stream is not kept. */
export interface Looked {
  readonly exit: Exit
  readonly stdout: string
  readonly stderr: string
}

/** What came of `act`. */
export interface Acted {
  readonly exit: Exit
  readonly output: Output
  readonly durationMs: number
}

const lookBytes = 1024 * 1024
/** How long after its end the rest of a process's output is awaited; a grandchild may hold the pipe for ever. */
const drainMs = 200
/** How long a group has between SIGTERM and SIGKILL, and then to vanish. */
const graceMs = 2000
const vanishMs = 1000
const lookAgainMs = 25

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The exit of a process in words: `exit status 3`. */
export function describeExit(exit: Exit): string {
  if (exit.kind === 'exited') return `exit status ${exit.code}`
  if (exit.kind === 'killed') return `killed by ${exit.signal}`
  if (exit.kind === 'not-started') return `cannot be started: ${exit.error}`
  return exit.survived
    ? "cut short, but something of it survives (in uninterruptible I/O, or root's)"
    : 'cut short and killed'
}

/**
 * Runs a short command that only looks, and gives what it printed. Ends at its exit, not when all that it may have
 * left behind lets go of its output; killed with its group when its time is up or the signal aborts. Never throws.
 */
export async function look(
  argv: readonly string[],
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<Looked> {
  if (signal.aborted) return { exit: { kind: 'aborted', survived: false }, stdout: '', stderr: '' }
  const child = begin(argv, 'pipe', { LC_ALL: 'C' })
  if (!isBegun(child)) return { exit: child, stdout: '', stderr: '' }
  // There are none where the agent has no descriptor left.
  const streams = [child.stdout, child.stderr]
    .filter((stream) => stream !== null && stream !== undefined)
    .map(capture)
  const exit = await watch(child, groupOf(child), signal, 'SIGKILL', timeoutMs)
  await drain(streams.map(({ ended }) => ended))
  const [stdout = '', stderr = ''] = streams.map(({ close }) => close())
  return { exit, stdout, stderr }
}

/**
 * Runs a command that changes something, in a session of its own; tells `act` its process group at once and its
 * lines as they come. Ends at the leader's exit: a daemon that it started lives on. Throws only where the output
 * file cannot be opened, or the process group cannot be noted: then nothing runs.
 */
export async function act(argv: readonly string[], action: Act): Promise<Acted> {
  const startedAt = performance.now()
  const output = OutputFile.open(action.outputFile, action.redactor, action.onLine)
  try {
    const exit = await runIn(output, argv, action)
    return { exit, output: await output.close(), durationMs: performance.now() - startedAt }
  } catch (error) {
    await output.close()
    throw error
  }
}

async function runIn(output: OutputFile, argv: readonly string[], action: Act): Promise<Exit> {
  if (action.signal.aborted) return { kind: 'aborted', survived: false }
  const missing = objectionTo(argv[0]!)
  if (missing !== undefined) return missing
  const child = begin([...gate, ...argv], output.fd, { LANG: 'C.UTF-8' }, ['pipe'])
  if (!isBegun(child)) return child
  const group = groupOf(child)
  const opener = child.stdio[3] as Writable
  // A script that was killed before it began.
  opener.on('error', () => {})
  try {
    if (group !== undefined) action.onProcess(group)
  } catch (error) {
    // What could not be noted must not run: nobody would know of it after a crash.
    await endGroup(group!, 'SIGKILL')
    throw error
  }
  opener.end('\n')
  return await watch(child, group, action.signal, 'SIGTERM')
}

/**
 * What is put before the argv of what changes something: it waits for a line before it becomes that, so that its
 * process group is noted first. Where the agent dies before, the line never comes, and nothing has run; or a successor
 * would look for a script of which nothing tells, and take for over what has just begun.
 */
const gate = ['/bin/sh', '-c', 'read -r _ <&3 && exec "$@" 3<&-', 'sh'] as const

/** Why a program cannot be started, in the kernel's words: behind the gate it would be told by the shell's. */
function objectionTo(program: string): NotStarted | undefined {
  const places = program.includes('/') ? [program] : path.split(':').map((dir) => join(dir, program))
  let objection: NodeJS.ErrnoException | undefined
  for (const place of places) {
    try {
      accessSync(place, constants.X_OK)
      return undefined
    } catch (error) {
      objection = error as NodeJS.ErrnoException
    }
  }
  return notStarted({ ...objection!, message: `${program}: ${objection!.code}` })
}

/** Most of what keeps a process from starting is told by its `error` event; some of it at once. */
function begin(
  [file, ...args]: readonly string[],
  output: 'pipe' | number,
  locale: Record<string, string>,
  more: readonly 'pipe'[] = [],
): ChildProcess | NotStarted {
  try {
    return spawn(file!, args, {
      stdio: ['ignore', output, output, ...more],
      // Nothing of the agent's own environment: it may hold the broker's password, and a service should start here
      // as it starts at boot.
      env: { PATH: path, HOME: homedir(), ...locale },
      cwd: '/',
      // Node can begin a process group only together with a session (setsid(2)).
      detached: true,
    })
  } catch (error) {
    return notStarted(error as NodeJS.ErrnoException)
  }
}

type NotStarted = Extract<Exit, { kind: 'not-started' }>

function notStarted({ code = 'unknown error', message }: NodeJS.ErrnoException): NotStarted {
  return { kind: 'not-started', code, error: printable(message) }
}

function isBegun(child: ChildProcess | NotStarted): child is ChildProcess {
  return !('kind' in child)
}

/** Read before the event loop turns: until then even a process that has ended is a zombie and keeps its number. */
function groupOf(child: ChildProcess): ProcessGroup | undefined {
  const ticks = child.pid === undefined ? undefined : startTicks(child.pid)
  return ticks === undefined ? undefined : { pgid: child.pid!, startTicks: ticks }
}

/** The end of the leader, or of the group where the signal aborts before, or the time is up. */
async function watch(
  child: ChildProcess,
  group: ProcessGroup | undefined,
  signal: AbortSignal,
  first: 'SIGTERM' | 'SIGKILL',
  timeoutMs?: number,
): Promise<Exit> {
  const ended = endOf(child)
  if (group === undefined) return await ended
  const aborted = Promise.withResolvers<'aborted'>()
  const onAbort = (): void => aborted.resolve('aborted')
  const timer = timeoutMs === undefined ? undefined : setTimeout(onAbort, timeoutMs)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    const exit = await Promise.race([ended, aborted.promise])
    if (exit !== 'aborted') return exit
    return { kind: 'aborted', survived: !(await endGroup(group, first)) }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function endOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(notStarted(error)))
    child.once('exit', (code, signal) => {
      if (code === null) resolve({ kind: 'killed', signal: signal ?? 'a signal' })
      else resolve({ kind: 'exited', code })
    })
  })
}

/** Ends a group; true when nothing of it is left. Bounded: a process in uninterruptible sleep obeys nobody. */
async function endGroup(group: ProcessGroup, first: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  if (first === 'SIGTERM') {
    killGroup(group, 'SIGTERM')
    if (await isGone(group, graceMs)) return true
  }
  killGroup(group, 'SIGKILL')
  return await isGone(group, vanishMs)
}

async function isGone(group: ProcessGroup, boundMs: number): Promise<boolean> {
  const deadline = performance.now() + boundMs
  while (isGroupAlive(group)) {
    if (performance.now() > deadline) return false
    await delay(lookAgainMs)
  }
  return true
}

/** Waits for the rest of a process's output, but not for ever. */
async function drain(ends: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  // Not to be waited for by a process that is done: a `filo` with agents of its own would end that much later.
  const timer = setTimeout(resolve, drainMs).unref()
  await Promise.race([Promise.all(ends), promise])
  clearTimeout(timer)
}

/** Keeps the beginning of a stream and reads the rest away, so that the process is never held up by us. */
function capture(stream: NodeJS.ReadableStream & { destroy(): unknown }) {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    if (bytes < lookBytes) chunks.push(chunk.subarray(0, lookBytes - bytes))
    bytes += chunk.length
  })
  const ended = new Promise<void>((resolve) => {
    stream.once('close', resolve)
    stream.once('error', () => resolve())
  })
  const close = (): string => {
    stream.destroy()
    return Buffer.concat(chunks).toString('utf8')
  }
  return { ended, close }
}
