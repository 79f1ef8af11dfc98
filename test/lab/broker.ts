import { findProgram, requireProgram } from '../support/packages.ts'
import { startRabbitmqNode } from '../support/rabbitmq-node.ts'
import type { Rabbitmq } from '../support/rabbitmq.ts'
import { Cgroup } from './cgroup.ts'
import { attempt } from './command.ts'
import type { Lab } from './lab.ts'
import { hubAddress, type Network } from './network.ts'

const port = 5672

/** Says AMQP's protocol header in the hub's namespace, and waits for the first byte of an answer. */
const probe = `exec 3<>/dev/tcp/${hubAddress}/${port}; printf 'AMQP\\0\\0\\011\\001' >&3; read -r -N 1 -t 2 <&3`

export async function brokerAnswers(network: Network): Promise<boolean> {
  return (await attempt([...network.enter('hub'), 'bash', '-c', probe])).code === 0
}

/** A RabbitMQ of the lab's own, which its hosts reach at the hub. */
export async function startBroker({ id, network }: Lab): Promise<Rabbitmq> {
  await requireProgram('rabbitmq-server', 'rabbitmq-server')
  const server = '/usr/lib/rabbitmq/bin/rabbitmq-server'
  const cgroup = new Cgroup(id, 'broker')
  cgroup.make()
  return await startRabbitmqNode(findProgram(server) ?? server, {
    at: {
      address: hubAddress,
      port,
      prefix: [...cgroup.enter, ...network.enter('hub')],
      answers: () => brokerAnswers(network),
    },
  })
}
