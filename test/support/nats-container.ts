import { startContainer } from './container.ts'
import { greets } from './nats.ts'

/** A NATS server with JetStream whose one account is told on its command line: an image without a shell takes no more. */
export async function startNatsContainer(): Promise<{ readonly url: string } & AsyncDisposable> {
  const container = await startContainer({
    image: 'nats:2',
    port: 4222,
    serves: /Server is ready/,
    command: ['--jetstream', '--store_dir', '/data', '--user', 'filo', '--pass', 'filo'],
    answers: (host, port) => greets(port, host),
  })
  return { ...container, url: `nats://filo:filo@${container.host}:${container.port}` }
}
