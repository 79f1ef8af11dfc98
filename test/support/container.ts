import { freePort } from './free-port.ts'
import { until } from './until.ts'

const bootTimeoutMs = 120_000

export interface ContainerSettings {
  readonly image: string
  /** Where its server listens, in the container. */
  readonly port: number
  /** What its server writes into its log when it serves. */
  readonly serves: RegExp
  /** In place of what the image would be given. */
  readonly command?: readonly string[]
  /** Whether the server can be spoken with. */
  answers(host: string, port: number): Promise<boolean>
}

/** A server in a container that testcontainers removes even when this process is killed. */
export interface ServerContainer extends AsyncDisposable {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Throws where the command does not exit with 0; gives what it printed. */
  exec(command: readonly string[]): Promise<string>
  kill(): Promise<void>
  freeze(): Promise<void>
  thaw(): Promise<void>
  stop(): Promise<void>
  /** Runs again after `kill` or `stop`, with the same data and port. */
  restart(): Promise<void>
}

/** Whether a Docker daemon answers; the library is only loaded to ask. */
export async function dockerAnswers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  return getContainerRuntimeClient().then(
    () => true,
    () => false,
  )
}

export async function startContainer(settings: ContainerSettings): Promise<ServerContainer> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers')
  // A fixed port: one that Docker chooses would change with each restart.
  const port = await freePort()
  const created = new GenericContainer(settings.image)
    .withExposedPorts({ container: settings.port, host: port })
    .withWaitStrategy(Wait.forLogMessage(settings.serves))
    .withStartupTimeout(bootTimeoutMs)
  if (settings.command !== undefined) created.withCommand([...settings.command])
  const started = await created.start()
  const client = await getContainerRuntimeClient()
  const container = client.container.getById(started.getId())
  const isRunning = async (): Promise<boolean> => (await container.inspect()).State.Running
  const stop = async (): Promise<void> => {
    if (await isRunning()) await container.stop()
  }
  const [name, host] = [started.getName(), started.getHost()]
  return {
    name,
    host,
    port,
    async exec(command) {
      const { exitCode, output } = await started.exec([...command])
      if (exitCode !== 0) throw new Error(`${command.join(' ')} exited ${exitCode}: ${output}`)
      return output
    },
    kill: () => container.kill({ signal: 'SIGKILL' }),
    freeze: () => container.pause(),
    thaw: () => container.unpause(),
    stop,
    async restart() {
      await stop()
      await container.start()
      await until(`${settings.image} in ${name} to answer`, () => settings.answers(host, port), {
        timeoutMs: bootTimeoutMs,
      })
    },
    async [Symbol.asyncDispose]() {
      await container.remove({ force: true, v: true })
    },
  }
}
