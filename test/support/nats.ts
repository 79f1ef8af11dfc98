import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Broker } from './broker.ts'
import { freePort } from './free-port.ts'
import { requireProgram } from './packages.ts'
import { tempDir } from './temp-dir.ts'
import { until } from './until.ts'

const bootTimeoutMs = 60_000
const stopTimeoutMs = 20_000

/** A NATS server of a test's own, on loopback and on a port of its own; gone when disposed, with all it wrote. */
export interface Nats extends Broker {
  readonly pid: number
  /** It reads its configuration again, and the files that this names. */
  reload(): Promise<void>
}

/**
 * Starts a private NATS server with JetStream: the machine's package, else installed from Debian where root can.
 * @param settings more of its configuration file, for which see the documentation of nats-server.
 */
export async function startNats(settings: readonly string[] = []): Promise<Nats> {
  const server = await requireProgram('nats-server', 'nats-server')
  const port = await freePort()
  const dir = tempDir()
  const conf = join(dir.path, 'nats.conf')
  const own = [
    `listen: "127.0.0.1:${port}"`,
    `log_file: "${join(dir.path, 'log')}"`,
    'include "users.conf"',
    `jetstream { store_dir: "${join(dir.path, 'data')}", max_mem: 64MB, max_file: 2GB }`,
  ]
  const users = join(dir.path, 'users.conf')
  writeFileSync(users, 'authorization { user: filo, password: filo }\n')
  writeFileSync(conf, `${[...own, ...settings].join('\n')}\n`)
  let child: ChildProcess | undefined
  /** For a process that ends without disposing: an uncaught error, or a runner that was told to stop. */
  const leaveNothing = (): void => {
    child?.kill('SIGKILL')
    dir[Symbol.dispose]()
  }
  process.once('exit', leaveNothing)

  const boot = async (): Promise<void> => {
    child = spawn(server, ['-c', conf], { cwd: dir.path, stdio: 'ignore' })
    await until(
      `NATS to serve on port ${port}`,
      async () => {
        if (hasEnded(child)) {
          throw new Error(
            `nats-server ended while it started:\n${readFileSync(join(dir.path, 'log'), 'utf8')}`,
          )
        }
        return greets(port)
      },
      { timeoutMs: bootTimeoutMs, intervalMs: 20 },
    )
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined || hasEnded(child)) return
    const ended = once(child, 'exit')
    child.kill(signal)
    // A frozen one cannot hear of it.
    child.kill('SIGCONT')
    const late = setTimeout(() => child?.kill('SIGKILL'), stopTimeoutMs)
    await ended
    clearTimeout(late)
  }
  const reload = async (): Promise<void> => {
    const log = join(dir.path, 'log')
    const reloads = (): number => readFileSync(log, 'utf8').split('Reloaded server configuration').length
    const before = reloads()
    child!.kill('SIGHUP')
    await until('NATS to have read its configuration again', () => reloads() > before)
  }
  await boot()
  return {
    url: `nats://filo:filo@127.0.0.1:${port}`,
    get pid() {
      return child!.pid!
    },
    reload,
    async grant(setup) {
      writeFileSync(users, setup)
      await reload()
    },
    kill: () => end('SIGKILL'),
    freeze: async () => void child?.kill('SIGSTOP'),
    thaw: async () => void child?.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
    async restart() {
      await end('SIGTERM')
      await boot()
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', leaveNothing)
      await end('SIGKILL')
      dir[Symbol.dispose]()
    },
  }
}

/** A NATS server speaks first: its INFO. */
export function greets(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    const answer = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.setTimeout(1000, () => answer(false))
    socket.once('error', () => answer(false))
    socket.once('data', (bytes) => answer(bytes.toString().startsWith('INFO ')))
  })
}

function hasEnded(child: ChildProcess | undefined): boolean {
  return child === undefined || child.exitCode !== null || child.signalCode !== null
}
