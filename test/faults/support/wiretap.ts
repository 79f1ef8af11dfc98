import { connect, type Channel } from 'amqplib'

/** A command as it went to a host's agent. */
export interface Frame {
  readonly host: string
  readonly content: Buffer
  /** `act`, `claim` …: what its envelope says that it is. */
  readonly type: string
}

/** A peer on the broker with all rights there: has a copy of every command, and delivers what it likes. */
export class Wiretap implements AsyncDisposable {
  readonly frames: Frame[] = []
  readonly #channel: Channel
  readonly #close: () => Promise<void>

  private constructor(channel: Channel, close: () => Promise<void>) {
    this.#channel = channel
    this.#close = close
  }

  static async open(url: string, hosts: Iterable<string>): Promise<Wiretap> {
    const model = await connect(url)
    const channel = await model.createConfirmChannel()
    const wiretap = new Wiretap(channel, () => model.close())
    const { queue } = await channel.assertQueue('', { exclusive: true })
    for (const host of hosts) await channel.bindQueue(queue, 'filo.agents', `filo.agent.${host}`)
    const take = (host: string, content: Buffer): void => {
      const { payloadType } = JSON.parse(content.toString()) as { payloadType: string }
      const type = payloadType.replace('application/vnd.filo.', '').replace('+json', '')
      wiretap.frames.push({ host, content, type })
    }
    await channel.consume(
      queue,
      (message) => {
        if (message === null || message.properties.headers?.['copy'] === true) return
        take(message.fields.routingKey.replace('filo.agent.', ''), message.content)
      },
      { noAck: true },
    )
    return wiretap
  }

  /** Delivers frames again, to the hosts they were for; what it delivers itself it does not record. */
  async deliver(frames: readonly Frame[]): Promise<void> {
    for (const { host, content } of frames) {
      this.#channel.publish('filo.agents', `filo.agent.${host}`, content, { headers: { copy: true } })
    }
    await (this.#channel as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }
}
