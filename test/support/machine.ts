import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { AgentProcess } from './agent-process.ts'
import type { Services } from './services.ts'
import { until } from './until.ts'

/**
 * A machine that can be rebooted and halted, for tests: it has an agent process, services, boots of its own, and a power
 * command, which asks for what the machine then does.
 */
export class Machine implements AsyncDisposable {
  /** Services that come up with a boot. */
  readonly enabled = new Set<string>()
  /** How often it has gone down since. */
  descents = 0
  readonly #agent: AgentProcess
  readonly #services: Services
  readonly #residents: readonly string[]
  readonly #dir: string
  readonly #watching: Promise<void>
  #isOver = false
  #isHeldDown = false

  constructor(agent: AgentProcess, services: Services, residents: readonly string[], dir: string) {
    this.#agent = agent
    this.#services = services
    this.#residents = residents
    this.#dir = dir
    agent.boot = randomUUID()
    writeFileSync(powerCommand(dir, agent.host), powerScript(dir, agent.host), { mode: 0o755 })
    this.#watching = this.#watch()
  }

  /** From now on the power command does what it is asked, or in some way does not. */
  behave(manner: 'obeys' | 'refuses' | 'ignores'): void {
    writeFileSync(this.#file('manner'), manner)
  }

  /** From now on it stays off once it has gone down. */
  holdDown(): void {
    this.#isHeldDown = true
  }

  async letUp(): Promise<void> {
    this.#isHeldDown = false
    if (!this.#agent.isRunning) await this.#comeUp()
  }

  /** As an administrator types it; resolves when it is up again. */
  async reboot(): Promise<void> {
    await this.#goDown()
    await this.#comeUp()
  }

  /** Waits until it has gone down that many times. */
  async untilDown(times = 1): Promise<void> {
    await until(`${this.#agent.host} to go down`, () => this.descents >= times, { timeoutMs: 30_000 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#watching
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const asked = this.#file('asked')
      if (existsSync(asked)) {
        const verb = readFileSync(asked, 'utf8').trim()
        rmSync(asked)
        await this.#goDown()
        if (verb === 'reboot' && !this.#isHeldDown) await this.#comeUp()
      }
      await delay(20)
    }
  }

  /** The agent is told to end, as a unit is at shutdown, and what runs is killed. */
  async #goDown(): Promise<void> {
    await this.#agent.stop()
    for (const name of this.#residents) if (this.#services.isUp(name)) await this.#services.kill(name)
    this.#agent.boot = randomUUID()
    this.descents += 1
  }

  async #comeUp(): Promise<void> {
    for (const name of this.enabled) await this.#services.start(name)
    await this.#agent.start()
  }

  #file(name: string): string {
    return join(this.#dir, `${this.#agent.host}.${name}`)
  }
}

/** What a host's `reboot` and `halt` run, with the verb as its argument. */
export function powerCommand(dir: string, host: string): string {
  return join(dir, `${host}.power`)
}

const powerScript = (dir: string, host: string): string => `#!/bin/sh
case $(cat '${dir}/${host}.manner' 2>/dev/null) in
refuses) echo 'Interactive authentication required.' >&2; exit 1 ;;
ignores) exit 0 ;;
esac
echo "$1" >'${dir}/${host}.new'
mv '${dir}/${host}.new' '${dir}/${host}.asked'
`
