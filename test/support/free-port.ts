import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * A TCP port on loopback that nobody listens on. Taken from below the range that the kernel gives to outgoing
 * connections (ip(7), ip_local_port_range, 32768 and up), so that a server that is restarted finds it free again.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(10_000, 32_768)
    if (await isFree(port)) return port
  }
  throw new Error('no free TCP port on 127.0.0.1 between 10000 and 32767 in 100 attempts')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)))
  })
}
