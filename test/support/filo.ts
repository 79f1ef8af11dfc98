import { spawn } from 'node:child_process'
import { programs } from './programs.ts'
import { until } from './until.ts'

/** What a command printed, and how it ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface FiloOptions {
  /** Where it is typed: `filo.yaml` is looked for there. */
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** After this long it is killed, and the test fails; longer than it may itself wait for hosts (`--patience`, 1 minute). */
  readonly timeoutMs?: number
  /** Put before the command, as nsenter(1) is to run it elsewhere; it must become the command, not stand beside it. */
  readonly prefix?: readonly string[]
}

/** A `filo` that is running. Disposed, it is killed if it still does. */
export interface RunningFilo extends AsyncDisposable {
  readonly pid: number
  readonly ended: Promise<Ended>
  stdout(): string
  stderr(): string
  signal(signal: NodeJS.Signals): void
  /** Goes away, as `head` does: what it prints from now on is lost. */
  closeOutput(): void
  /** Waits until stderr has a match. */
  untilSays(pattern: RegExp): Promise<void>
}

/** Runs the real `filo` to its end. Its state is in `.state` below `cwd`, its standard input is no terminal. */
export async function filo(args: readonly string[], options: FiloOptions): Promise<Ended> {
  await using running = startFilo(args, options)
  return await running.ended
}

/** Nothing of the test's own environment: its state is in `.state` below `cwd`. */
export function filoEnvironment(cwd: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: cwd, FILO_STATE: `${cwd}/.state` }
}

export function startFilo(args: readonly string[], options: FiloOptions): RunningFilo {
  const { cwd, env = {}, timeoutMs = 180_000, prefix = [] } = options
  const [program, ...rest] = [...prefix, programs().filo, ...args]
  const child = spawn(program!, rest, {
    cwd,
    env: { ...filoEnvironment(cwd), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const { promise: ended, resolve, reject } = Promise.withResolvers<Ended>()
  const shown = `filo ${args.join(' ')}`
  const timer = setTimeout(() => {
    child.kill('SIGKILL')
    reject(new Error(`"${shown}" did not end within ${timeoutMs} ms; it said:\n${stderr}\n${stdout}`))
  }, timeoutMs)
  child.once('error', reject)
  child.once('close', (code, signal) => {
    clearTimeout(timer)
    resolve({ code, signal, stdout, stderr })
  })
  // Whoever disposes it without waiting for its end does not care how it ends.
  ended.catch(() => {})
  return {
    pid: child.pid!,
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    signal: (signal) => void child.kill(signal),
    closeOutput: () => {
      child.stdout.destroy()
      child.stderr.destroy()
    },
    untilSays: async (pattern) => {
      await until(`"${shown}" to say ${pattern}`, () => pattern.test(stderr), { timeoutMs })
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended.catch(() => {})
    },
  }
}
