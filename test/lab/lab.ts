import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { startFilo, type Ended, type RunningFilo } from '../support/filo.ts'
import { until } from '../support/until.ts'
import { configureAgent, untilAgentAnswers } from './agent-unit.ts'
import { brokerAnswers } from './broker.ts'
import { Cgroup } from './cgroup.ts'
import { Host } from './host.ts'
import { labDir, readLabFile } from './lab-file.ts'
import { addressOf, hubAddress, Network } from './network.ts'

/** Several hosts, and a hub with the broker and the coordinator. Whoever knows its name can look into it. */
export class Lab {
  readonly id: string
  readonly dir: string
  readonly network: Network
  readonly hosts: ReadonlyMap<string, Host>

  constructor(id: string, hostNames: readonly string[]) {
    this.id = id
    this.dir = labDir(id)
    this.network = new Network(this.dir)
    const place = { lab: id, dir: this.dir, network: this.network }
    this.hosts = new Map(hostNames.map((name, at) => [name, new Host(place, name, addressOf(at + 1))]))
  }

  /** A lab that this or another process has raised. */
  static find(id: string): Lab {
    return new Lab(id, readLabFile(id).hosts)
  }

  host(name: string): Host {
    const host = this.hosts.get(name)
    if (host === undefined)
      throw new Error(`the lab has no host ${name}, but: ${[...this.hosts.keys()].join(', ')}`)
    return host
  }

  /** Where the coordinator has its fleet file and its state. */
  get desk(): string {
    return join(this.dir, 'desk')
  }

  /** Runs `filo ARGS` at the hub, to its end. */
  async filo(...args: readonly string[]): Promise<Ended> {
    await using running = this.startFilo(args)
    return await running.ended
  }

  startFilo(args: readonly string[], timeoutMs = 200_000): RunningFilo {
    return startFilo(args, { cwd: this.desk, timeoutMs, prefix: this.network.enter('hub') })
  }

  /**
   * Gives the coordinator and the agents of its hosts a fleet file, of which the lab itself writes the broker; resolves
   * when these agents answer.
   */
  async declare(fleet: string): Promise<void> {
    mkdirSync(this.desk, { recursive: true })
    writeFileSync(join(this.desk, 'filo.yaml'), fleet.replace(/^broker:.*$/m, `broker: ${brokerUrl}`))
    await this.#succeed('keys', 'init', '--hosts')
    const { hosts } = load(fleet) as { readonly hosts: Readonly<Record<string, unknown>> }
    await Promise.all(
      Object.keys(hosts).map(async (name) => {
        const dir = join(this.desk, 'agents', name)
        await this.#succeed('agent-config', name, '-o', dir)
        await until('the broker to answer', () => brokerAnswers(this.network), {
          timeoutMs: 90_000,
          intervalMs: 100,
        })
        await configureAgent(this.host(name), dir)
        await untilAgentAnswers(this.host(name))
      }),
    )
  }

  /** Ends everything in it, and takes away all that it made. */
  async remove(): Promise<void> {
    await Promise.all([...this.hosts.values()].map((host) => host.remove()))
    await new Cgroup(this.id).remove()
    await this.network.unpin('hub')
    rmSync(this.dir, { recursive: true, force: true })
  }

  async #succeed(...args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await this.filo(...args)
    if (code !== 0) throw new Error(`filo ${args.join(' ')} ended with ${code}:\n${stderr}\n${stdout}`)
  }
}

const brokerUrl = `amqp://guest:guest@${hubAddress}:5672`
