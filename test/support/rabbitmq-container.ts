import { startContainer } from './container.ts'
import type { Rabbitmq } from './rabbitmq.ts'
import { speaksAmqp } from './speaks-amqp.ts'

export async function startRabbitmqContainer(): Promise<Rabbitmq> {
  const container = await startContainer({
    image: 'rabbitmq:4-management',
    port: 5672,
    serves: /Server startup complete/,
    answers: speaksAmqp,
  })
  return {
    ...container,
    url: `amqp://guest:guest@${container.host}:${container.port}`,
    node: container.name,
    async grant(setup) {
      await container.exec(['sh', '-c', setup])
    },
    ctl: (...args) => container.exec(['rabbitmqctl', '-q', ...args]),
  }
}
