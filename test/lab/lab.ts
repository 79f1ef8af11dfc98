import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startFilo, type Ended, type RunningFilo } from '../support/filo.ts'
import { configureAgent, installAgent, untilAgentAnswers } from './agent-unit.ts'
import { startBroker } from './broker.ts'
import { cacheDir } from './cache.ts'
import { Cgroup } from './cgroup.ts'
import { Host } from './host.ts'
import { layersOf, type Layer } from './image.ts'
import { addressOf, hubAddress, Network } from './network.ts'
import type { Rabbitmq } from '../support/rabbitmq.ts'

export interface HostSpec {
  readonly name: string
  /** What is installed on it; nothing but the base image where absent. */
  readonly layer?: Layer
}

/** What of a lab is written down, for other processes to find it by. */
interface LabFile {
  readonly owner: { readonly pid: number; readonly startTicks: string }
  readonly hosts: readonly string[]
}

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

  startFilo(args: readonly string[], timeoutMs = 300_000): RunningFilo {
    return startFilo(args, { cwd: this.desk, timeoutMs, prefix: this.network.enter('hub') })
  }

  /** Gives coordinator and agents a fleet file, of which the lab itself writes the broker; resolves when all agents answer. */
  async declare(fleet: string): Promise<void> {
    mkdirSync(this.desk, { recursive: true })
    writeFileSync(join(this.desk, 'filo.yaml'), fleet.replace(/^broker:.*$/m, `broker: ${brokerUrl}`))
    await this.#succeed('keys')
    await Promise.all(
      [...this.hosts.values()].map(async (host) => {
        const dir = join(this.desk, 'agents', host.name)
        await this.#succeed('agent-config', host.name, '-o', dir)
        await configureAgent(host, dir)
        await untilAgentAnswers(host)
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

export const brokerUrl = `amqp://guest:guest@${hubAddress}:5672`

/** A lab with the broker that runs in it. Disposed, nothing of it is left. */
export interface RaisedLab extends AsyncDisposable {
  readonly lab: Lab
  readonly broker: Rabbitmq
}

/** Makes what images are missing, boots the hosts, and starts the broker. One process raises a lab, and ends it. */
export async function raiseLab(id: string, specs: readonly HostSpec[]): Promise<RaisedLab> {
  await removeAbandoned()
  if (existsSync(labDir(id))) throw new Error(`a lab named ${id} is up already: npm run lab -- down`)
  const disks: string[][] = []
  // One after the other: a layer may be the ground of the next.
  for (const { layer } of specs) disks.push(await layersOf(layer))
  const lab = new Lab(
    id,
    specs.map(({ name }) => name),
  )
  await using stack = new AsyncDisposableStack()
  writeLabFile(lab)
  stack.defer(() => lab.remove())
  await lab.network.open()
  const starting = startBroker(lab)
  const raising = [...lab.hosts.values()].map(async (host, at) => {
    await host.furnish(disks[at]!)
    host.write('/etc/hosts', hostsFile(lab))
    installAgent(host)
    await host.boot()
  })
  const outcomes = await Promise.allSettled([starting, ...raising])
  const [broker] = outcomes
  if (broker?.status === 'fulfilled') stack.use(broker.value)
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
  const disposal = stack.move()
  return { lab, broker: await starting, [Symbol.asyncDispose]: () => disposal.disposeAsync() }
}

/** Labs whose process was killed before it could take them away. */
async function removeAbandoned(): Promise<void> {
  if (!existsSync(cacheDir('labs'))) return
  for (const id of readdirSync(cacheDir('labs'))) {
    if (!isOwned(id)) await Lab.find(id).remove()
  }
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

function labDir(id: string): string {
  return cacheDir('labs', id)
}

function writeLabFile({ id, dir, hosts }: Lab): void {
  mkdirSync(dir, { recursive: true })
  const owner = { pid: process.pid, startTicks: startTicksOf(process.pid)! }
  const file: LabFile = { owner, hosts: [...hosts.keys()] }
  writeFileSync(join(labDir(id), 'lab.json'), JSON.stringify(file))
}

function readLabFile(id: string): LabFile {
  try {
    return JSON.parse(readFileSync(join(labDir(id), 'lab.json'), 'utf8')) as LabFile
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

function hostsFile({ hosts }: Lab): string {
  const known = [...hosts.values()].map(({ name, address }) => `${address} ${name}`)
  return `${['127.0.0.1 localhost', `${hubAddress} hub broker`, ...known].join('\n')}\n`
}
