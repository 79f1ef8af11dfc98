import { startRabbitmq } from '../../../test/support/rabbitmq.ts'
import { openTransport } from './open-transport.ts'
import { describeTransport } from './testing.ts'

describeTransport('the transport over AMQP', async () => {
  const broker = await startRabbitmq()
  return {
    connect: () => openTransport([broker.url], { name: 'test', heartbeatSeconds: 1 }),
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
})
