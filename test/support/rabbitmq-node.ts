import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import type { Rabbitmq, RabbitmqSettings } from './rabbitmq.ts'
import { speaksAmqp } from './speaks-amqp.ts'
import { tempDir } from './temp-dir.ts'
import { until } from './until.ts'

const run = promisify(execFile)

/** A node takes four seconds on an idle machine; several may start at once, and those of a cluster wait for each other. */
const bootTimeoutMs = 240_000
const stopTimeoutMs = 20_000

/** Where a node serves. */
export interface Place {
  readonly address: string
  readonly port: number
  /** Put before each command, as nsenter(1) is to run it elsewhere; it must become the command, not stand beside it. */
  readonly prefix: readonly string[]
  /** Whether it serves AMQP there. */
  answers(): Promise<boolean>
}

async function onLoopback(): Promise<Place> {
  const [address, port] = ['127.0.0.1', await freePort()]
  return { address, port, prefix: [], answers: () => speaksAmqp(address, port) }
}

/** How nodes find and trust each other: an epmd (Erlang's port mapper, epmd(1)) on a port of its own, and a cookie. */
interface Acquaintance extends AsyncDisposable {
  readonly epmdPort: number
  readonly cookie: string
}

/**
 * Runs the machine's RabbitMQ as a child of this process. Everything that nodes of one machine share by default
 * is its own: cookie, name, epmd, ports, data, configuration and logs.
 */
export async function startRabbitmqNode(
  server: string,
  { at, settings = {} }: { readonly at?: Place; readonly settings?: RabbitmqSettings | undefined } = {},
): Promise<Rabbitmq> {
  const place = at ?? (await onLoopback())
  const acquaintance = await startEpmd(place.prefix)
  try {
    const node = await startNode(server, place, acquaintance, settings)
    return {
      ...node,
      async [Symbol.asyncDispose]() {
        await node[Symbol.asyncDispose]()
        await acquaintance[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await acquaintance[Symbol.asyncDispose]()
    throw error
  }
}

/** Runs as many nodes, which are one cluster. It takes twice as long as one node. */
export async function startRabbitmqNodes(
  server: string,
  count: number,
): Promise<readonly Rabbitmq[] & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const acquaintance = stack.use(await startEpmd([]))
  const places: Place[] = []
  for (let at = 0; at < count; at += 1) places.push(await onLoopback())
  const conf = [
    'cluster_formation.peer_discovery_backend = classic_config',
    ...places.map(({ port }, at) => `cluster_formation.classic_config.nodes.${at + 1} = ${nodeAt(port)}`),
    // As its documentation advises for three nodes.
    'cluster_partition_handling = pause_minority',
  ]
  const starting = places.map(async (place) => {
    const node = await startNode(server, place, acquaintance, { conf })
    return stack.use(node)
  })
  const started = await Promise.allSettled(starting)
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason
  const nodes = await Promise.all(starting)
  await until(
    'the nodes to be one cluster',
    async () => {
      const status = await nodes[0]!.ctl('cluster_status', '--formatter', 'json')
      const { running_nodes: running } = JSON.parse(status) as { running_nodes: string[] }
      return running.length === count
    },
    { timeoutMs: bootTimeoutMs, intervalMs: 100 },
  )
  const disposal = stack.move()
  return Object.assign(nodes, { [Symbol.asyncDispose]: () => disposal.disposeAsync() })
}

async function startEpmd(prefix: readonly string[]): Promise<Acquaintance> {
  const epmdPort = await freePort()
  const [program, ...args] = [...prefix, 'epmd', '-port', String(epmdPort)]
  const epmd = spawn(program, args, {
    env: { PATH: systemPath(), ERL_EPMD_ADDRESS: '127.0.0.1' },
    stdio: 'ignore',
  })
  const leaveNothing = (): void => void epmd.kill('SIGKILL')
  process.once('exit', leaveNothing)
  return {
    epmdPort,
    cookie: `FILO${epmdPort}`,
    async [Symbol.asyncDispose]() {
      process.off('exit', leaveNothing)
      if (hasEnded(epmd)) return
      const ended = once(epmd, 'exit')
      epmd.kill('SIGKILL')
      await ended
    },
  }
}

function nodeAt(port: number): string {
  return `filo-${port}@localhost`
}

async function startNode(
  server: string,
  place: Place,
  acquaintance: Acquaintance,
  settings: RabbitmqSettings,
): Promise<Rabbitmq> {
  const { address, port, prefix } = place
  const dir = tempDir()
  const distribution = await freePort()
  const node = nodeAt(port)
  const env = makeHome(dir.path, { node, address, port, distribution, ...acquaintance }, settings)
  let broker: ChildProcess | undefined

  /** For a process that ends without disposing: an uncaught error, or a runner that was told to stop. */
  const leaveNothing = (): void => {
    broker?.kill('SIGKILL')
    dir[Symbol.dispose]()
  }
  process.once('exit', leaveNothing)

  const boot = async (): Promise<void> => {
    const [program, ...args] = [...prefix, server]
    broker = spawn(program, args, { env, stdio: 'ignore', cwd: dir.path })
    const what = `RabbitMQ to serve AMQP on ${address}:${port}`
    await until(what, async () => hasEnded(broker) || (await place.answers()), {
      timeoutMs: bootTimeoutMs,
      intervalMs: 200,
    })
    if (hasEnded(broker)) throw new Error(`RabbitMQ ended while it started:\n${readLogs(dir.path)}`)
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (broker === undefined || hasEnded(broker)) return
    const ended = once(broker, 'exit')
    broker.kill(signal)
    // A frozen one cannot hear of it.
    broker.kill('SIGCONT')
    const late = setTimeout(() => broker?.kill('SIGKILL'), stopTimeoutMs)
    await ended
    clearTimeout(late)
  }
  const dispose = async (): Promise<void> => {
    process.off('exit', leaveNothing)
    await end('SIGKILL')
    dir[Symbol.dispose]()
  }

  const ctlEnvironment = { ...env, PATH: `${dirname(server)}:${env['PATH']}` }
  try {
    await boot()
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    url: `amqp://guest:guest@${address}:${port}`,
    node,
    kill: () => end('SIGKILL'),
    freeze: async () => void broker?.kill('SIGSTOP'),
    thaw: async () => void broker?.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
    async restart() {
      await end('SIGTERM')
      await boot()
    },
    ctlEnvironment,
    async grant(setup) {
      const [program, ...rest] = [...prefix, 'sh', '-c', setup]
      await run(program, rest, { env: ctlEnvironment })
    },
    async ctl(...args) {
      const [program, ...rest] = [...prefix, join(dirname(server), 'rabbitmqctl'), '-q', ...args]
      const { stdout } = await run(program!, rest, { env, cwd: dir.path })
      return stdout
    },
    [Symbol.asyncDispose]: dispose,
  }
}

function makeHome(
  home: string,
  at: Omit<Acquaintance, typeof Symbol.asyncDispose> & {
    readonly node: string
    readonly address: string
    readonly port: number
    readonly distribution: number
  },
  { conf = [], plugins = [], erl = '' }: RabbitmqSettings,
): Record<string, string> {
  for (const name of ['data', 'log', 'generated']) mkdirSync(join(home, name))
  writeFileSync(join(home, '.erlang.cookie'), at.cookie, { mode: 0o400 })
  writeFileSync(join(home, 'enabled_plugins'), `[${plugins.join(',')}].\n`)
  const settings = [
    `listeners.tcp.1 = ${at.address}:${at.port}`,
    // Or the user "guest" could only come by loopback.
    'loopback_users = none',
    'log.console = false',
    'vm_memory_high_watermark.absolute = 512MiB',
    'disk_free_limit.absolute = 50MB',
    ...conf,
  ]
  writeFileSync(join(home, 'rabbitmq.conf'), `${settings.join('\n')}\n`)
  return {
    PATH: systemPath(),
    HOME: home,
    LANG: 'C.UTF-8',
    ERL_EPMD_PORT: String(at.epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: at.node,
    RABBITMQ_DIST_PORT: String(at.distribution),
    RABBITMQ_BASE: home,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(home, 'generated'),
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_PID_FILE: join(home, 'pid'),
    RABBITMQ_FEATURE_FLAGS_FILE: join(home, 'feature_flags'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'enabled_plugins'),
    // The script then becomes the Erlang VM instead of waiting for it: a signal reaches the broker itself.
    RABBITMQ_ALLOW_INPUT: '1',
    RABBITMQ_SERVER_START_ARGS: '-noinput',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 -kernel inet_dist_use_interface {127,0,0,1} ' +
      // A node that is frozen keeps the others of its cluster from changing any queue, by default for a minute.
      `-kernel net_ticktime 12 ${erl}`,
  }
}

function systemPath(): string {
  return `${process.env['PATH'] ?? ''}:/usr/bin:/bin`
}

function hasEnded(child: ChildProcess | undefined): boolean {
  return child === undefined || child.exitCode !== null || child.signalCode !== null
}

function readLogs(home: string): string {
  const log = join(home, 'log')
  return readdirSync(log)
    .map((name) => readFileSync(join(log, name), 'utf8').slice(-2000))
    .join('\n')
}
