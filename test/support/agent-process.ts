import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programs } from './programs.ts'
import { until } from './until.ts'

const agentInBoot = fileURLToPath(new URL('agent-in-boot.ts', import.meta.url))

/** A node process takes a second to load on an idle machine. */
const startTimeoutMs = 60_000

/** The real `filo-agent` of one host, as a process of its own. */
export class AgentProcess implements AsyncDisposable {
  readonly host: string
  /** The boot that its machine is in; absent where that is the one of the tests themselves. */
  boot: string | undefined
  /** More of the environment that it is started in, from its next start on. */
  environment: Readonly<Record<string, string>> = {}
  readonly #dir: string
  #child: ChildProcess | undefined
  #log = ''
  #ending: Promise<unknown> = Promise.resolve()

  /** `dir` has what `filo agent-config HOST -o DIR` wrote, and gets the agent's state. */
  constructor(host: string, dir: string) {
    this.host = host
    this.#dir = dir
  }

  get stateDir(): string {
    return join(this.#dir, 'state')
  }

  /** All that the agent and its predecessors on this host said. */
  get log(): string {
    return this.#log
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Of the process that runs now, or ran last. */
  get pid(): number {
    return this.#child!.pid!
  }

  /** Starts it; nothing is waited for. */
  launch(): void {
    if (this.isRunning) throw new Error(`the agent of ${this.host} runs already`)
    const config = join(this.#dir, 'agent.yaml')
    const [program, ...args] =
      this.boot === undefined
        ? [programs().agent, '--config', config, '--state', this.stateDir]
        : [process.execPath, agentInBoot, config, this.stateDir, this.boot]
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...this.environment },
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#log += text))
    }
    this.#child = child
    this.#ending = once(child, 'close')
  }

  /** Starts it; resolves when it answers for its host. */
  async start(): Promise<void> {
    const before = this.#log.length
    this.launch()
    await until(
      `the agent of ${this.host} to answer`,
      () => {
        if (this.#log.slice(before).includes('"answering"')) return true
        if (!this.isRunning) throw new Error(`it ended: ${this.#log.slice(before)}`)
        return false
      },
      { timeoutMs: startTimeoutMs },
    )
  }

  /** Waits until it has ended by itself; gives its exit code. */
  async ended(): Promise<number | null> {
    await until(`the agent of ${this.host} to end`, () => !this.isRunning, { timeoutMs: startTimeoutMs })
    return this.#child?.exitCode ?? null
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ending
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM')
    await this.#ending
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** It lives, its connections stay open, and it does nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
