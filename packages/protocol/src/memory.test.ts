import { MemoryBroker } from './memory.ts'
import { describeTransport } from './testing.ts'

describeTransport('the transport within a process', async () => {
  const broker = new MemoryBroker()
  return { connect: async () => broker.connect(), [Symbol.asyncDispose]: async () => {} }
})
