import { join } from 'node:path'
import { onTestFailed } from 'vitest'
import { AgentProcess } from './agent-process.ts'
import { filo, startFilo, type Ended, type FiloOptions, type RunningFilo } from './filo.ts'
import { fourInARow, hostsOf, writeFleetFile, type FleetServices } from './fleet-file.ts'
import { Machine, powerCommand } from './machine.ts'
import { Services } from './services.ts'
import { tempDir } from './temp-dir.ts'

/** A fleet over a real broker: each host has an agent process of its own, each service is a real process. */
export interface Fleet extends AsyncDisposable {
  readonly path: string
  readonly services: Services
  readonly agents: ReadonlyMap<string, AgentProcess>
  /** By host, where the hosts were asked to be machines. */
  readonly machines: ReadonlyMap<string, Machine>
  /** The agent of the host of a service that has a host of its own. */
  agentOf(service: string): AgentProcess
  /** Runs `filo ARGS` in the fleet's directory, to its end. */
  filo(...args: string[]): Promise<Ended>
  start(args: readonly string[], options?: Partial<FiloOptions>): RunningFilo
  /** Starts all services, by Filo itself; their ledger begins anew. */
  bringUp(): Promise<void>
  /** Makes all agents and services again what they were declared to be, and up, whatever a test did to them. */
  recover(): Promise<void>
  /** Writes the fleet file anew. The agents keep what they were told until they are configured and restarted. */
  declare(services: FleetServices): void
  /** Writes an agent's configuration by the fleet file as it is now; a running agent does not read it. */
  configure(host: string): Promise<void>
  /** The name of the newest run. */
  newestRun(): Promise<string>
  /** To be called in a test: what the agents said is shown if it fails. */
  showLogsIfTestFails(): void
}

export interface FleetOptions {
  /** Whether each host can be rebooted and halted, and has boots of its own. */
  readonly machines?: boolean
  /** Called before the agents are configured, with the fleet file and the keys in place. */
  readonly setUp?: (filo: Fleet['filo'], path: string) => Promise<void>
  /** More keys of each host in the fleet file, as flow YAML. */
  readonly power?: string
}

/** Opens a test's own fleet on a broker that no other fleet with hosts of these names uses at the time. */
export async function openFleet(
  brokerUrl: string,
  declared: FleetServices = fourInARow,
  options: FleetOptions = {},
): Promise<Fleet> {
  const fleet = await openSharedFleet(brokerUrl, declared, options)
  fleet.showLogsIfTestFails()
  return fleet
}

/** The same, outside of any test. */
export async function openSharedFleet(
  brokerUrl: string,
  declared: FleetServices,
  { machines: areMachines = false, power = '', setUp }: FleetOptions = {},
): Promise<Fleet> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(tempDir(), (one) => one[Symbol.dispose]())
  const services = stack.use(new Services(dir.path))
  const agents = new Map<string, AgentProcess>()
  for (const host of hostsOf(declared)) {
    agents.set(host, stack.use(new AgentProcess(host, join(dir.path, 'agents', host))))
  }
  const machines = new Map<string, Machine>()
  if (areMachines) {
    for (const [host, agent] of agents) {
      const residents = Object.keys(declared).filter(
        (name) => (declared[name]!.host ?? `${name}-host`) === host,
      )
      machines.set(host, stack.use(new Machine(agent, services, residents, dir.path)))
    }
  }
  const hostEntry = (host: string): string => {
    const command = powerCommand(dir.path, host)
    return areMachines ? `{ reboot: [${command}, reboot], halt: [${command}, halt], ${power} }` : '{}'
  }
  const run: Fleet['filo'] = (...args) => filo(args, { cwd: dir.path })
  const declare: Fleet['declare'] = (all) => writeFleetFile(dir.path, brokerUrl, services, all, hostEntry)
  const configure: Fleet['configure'] = async (host) => {
    await succeed(run('agent-config', host, '-o', join(dir.path, 'agents', host)))
  }
  declare(declared)
  await succeed(run('keys', 'init', '--hosts'))
  await setUp?.(run, dir.path)
  await Promise.all(
    [...agents.values()].map(async (agent) => {
      await configure(agent.host)
      await agent.start()
    }),
  )
  const bringUp = async (): Promise<void> => {
    await succeed(run('start', '--yes'))
    services.forget()
  }
  const disposal = stack.move()
  return {
    path: dir.path,
    services,
    agents,
    machines,
    agentOf: (service) => agents.get(declared[service]?.host ?? `${service}-host`)!,
    filo: run,
    start: (args, options) => startFilo(args, { cwd: dir.path, ...options }),
    bringUp,
    async recover() {
      for (const [name, behaviour] of Object.entries(declared)) {
        services.behave(name, behaviour)
        services.letGo(name)
      }
      for (const agent of agents.values()) {
        agent.thaw()
        if (!agent.isRunning) await agent.start()
      }
      await bringUp()
    },
    declare,
    configure,
    async newestRun() {
      const { stdout } = await succeed(run('runs', '--jsonl'))
      return (JSON.parse(stdout.split('\n')[0]!) as { run: string }).run
    },
    showLogsIfTestFails() {
      onTestFailed(() => {
        for (const { host, log } of agents.values()) console.error(`--- the agent of ${host} said:\n${log}`)
      })
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  }
}

async function succeed(ended: Promise<Ended>): Promise<Ended> {
  const { code, stdout, stderr } = await ended
  if (code !== 0) throw new Error(`filo ended with ${code}:\n${stderr}\n${stdout}`)
  return await ended
}
