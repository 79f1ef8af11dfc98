import { startNats } from '../../../test/support/nats.ts'
import { openTransport } from './open-transport.ts'
import { describeTransport } from './testing.ts'

describeTransport('the transport over NATS', async () => {
  const broker = await startNats()
  return {
    connect: () => openTransport([broker.url], { name: 'test', heartbeatSeconds: 1 }),
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
})
