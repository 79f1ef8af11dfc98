import { existsSync } from 'node:fs'
import type { Broker } from './broker.ts'
import { findProgram, requireProgram } from './packages.ts'
import { dockerAnswers } from './container.ts'
import { startRabbitmqContainer } from './rabbitmq-container.ts'
import { startRabbitmqNode } from './rabbitmq-node.ts'

/** A RabbitMQ of a test's own, on loopback and on a port of its own; gone when disposed, with all it wrote. */
export interface Rabbitmq extends Broker {
  /** Its Erlang name, or the container's. */
  readonly node: string
  /** Runs rabbitmqctl, for which see rabbitmqctl(8), and returns what it printed. Takes about two seconds. */
  ctl(...args: string[]): Promise<string>
}

/** What a RabbitMQ is configured with besides where it listens; see rabbitmq.conf(5) and rabbitmq-plugins(8). */
export interface RabbitmqSettings {
  readonly conf?: readonly string[]
  readonly plugins?: readonly string[]
  /** More arguments of the Erlang VM. */
  readonly erl?: string
}

/**
 * Starts a private RabbitMQ: the machine's package, else installed from Debian where root can, else a container
 * where a Docker daemon answers. Else it throws: a test that needs a broker fails without one, and is never skipped.
 */
export async function startRabbitmq(settings?: RabbitmqSettings): Promise<Rabbitmq> {
  const canInstall = process.getuid?.() === 0 && findProgram('apt-get') !== undefined
  const mayBeContainer = findServer() === undefined && !canInstall
  // A container has no settings of ours.
  if (mayBeContainer && settings === undefined && (await dockerAnswers())) return startRabbitmqContainer()
  return startRabbitmqNode(await requireRabbitmq(), { settings })
}

/** The path of the server's program, which is installed where there is none and root can. */
export async function requireRabbitmq(): Promise<string> {
  const here = findServer()
  if (here !== undefined) return here
  const installed = await requireProgram('rabbitmq-server', 'rabbitmq-server')
  return findServer() ?? installed
}

/** The server's own script rather than Debian's wrapper in /usr/sbin: that one changes user, and with it HOME. */
function findServer(): string | undefined {
  const script = '/usr/lib/rabbitmq/bin/rabbitmq-server'
  return existsSync(script) ? script : findProgram('rabbitmq-server')
}
