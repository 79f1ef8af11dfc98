import { freePort } from './free-port.ts'
import { speaksAmqp } from './speaks-amqp.ts'
import type { Rabbitmq } from './rabbitmq.ts'
import { until } from './until.ts'

const image = 'rabbitmq:4-management'
const amqpPort = 5672
const bootTimeoutMs = 120_000

/** Whether a Docker daemon answers; the library is only loaded to ask. */
export async function dockerAnswers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  return getContainerRuntimeClient().then(
    () => true,
    () => false,
  )
}

/** Runs RabbitMQ in a container that testcontainers removes even when this process is killed. */
export async function startRabbitmqContainer(): Promise<Rabbitmq> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers')
  // A fixed port: one that Docker chooses would change with each restart.
  const port = await freePort()
  const started = await new GenericContainer(image)
    .withExposedPorts({ container: amqpPort, host: port })
    .withWaitStrategy(Wait.forLogMessage(/Server startup complete/))
    .withStartupTimeout(bootTimeoutMs)
    .start()
  const client = await getContainerRuntimeClient()
  const container = client.container.getById(started.getId())
  const isRunning = async (): Promise<boolean> => (await container.inspect()).State.Running
  const stop = async (): Promise<void> => {
    if (await isRunning()) await container.stop()
  }
  return {
    url: `amqp://guest:guest@${started.getHost()}:${port}`,
    node: started.getName(),
    kill: () => container.kill({ signal: 'SIGKILL' }),
    freeze: () => container.pause(),
    thaw: () => container.unpause(),
    stop,
    async restart() {
      await stop()
      await container.start()
      await until(
        `RabbitMQ in ${started.getName()} to serve AMQP`,
        () => speaksAmqp(started.getHost(), port),
        {
          timeoutMs: bootTimeoutMs,
        },
      )
    },
    async grant(setup) {
      const { exitCode, output } = await started.exec(['sh', '-c', setup])
      if (exitCode !== 0) throw new Error(`the script exited ${exitCode}: ${output}`)
    },
    async ctl(...args) {
      const { exitCode, output } = await started.exec(['rabbitmqctl', '-q', ...args])
      if (exitCode !== 0) throw new Error(`rabbitmqctl ${args.join(' ')} exited ${exitCode}: ${output}`)
      return output
    },
    async [Symbol.asyncDispose]() {
      await container.remove({ force: true, v: true })
    },
  }
}
