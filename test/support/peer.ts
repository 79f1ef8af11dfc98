import { randomUUID } from 'node:crypto'
import {
  answers,
  digest,
  makeKeyPair,
  seal,
  unsealAnswer,
  type Answer,
  type AnswerType,
  type Command,
  type CommandType,
  type HostDefinition,
  type HostVerb,
  type KeyPair,
  type Transport,
} from '@filo/protocol'
import { until } from './until.ts'

export type Body<Type extends AnswerType> = Extract<Answer, { type: Type }>['body']

/** A coordinator that says just what a test wants said, and keeps all it hears. */
export class Peer {
  readonly keys: KeyPair = makeKeyPair()
  readonly id = randomUUID()
  readonly run: string
  readonly heard: Answer[] = []
  readonly sent: Uint8Array[] = []
  readonly #transport: Transport
  readonly #definition: HostDefinition
  readonly #agent: KeyPair

  constructor(
    transport: Transport,
    definition: HostDefinition,
    agent: KeyPair,
    run = 'r20260101-000000-test',
  ) {
    this.#transport = transport
    this.#definition = definition
    this.#agent = agent
    this.run = run
  }

  async open(): Promise<this> {
    await this.#transport.open({ coordinator: this.id }, (bytes) => {
      const opened = unsealAnswer(bytes, (id) =>
        id === this.#agent.verifying.id ? this.#agent.verifying : undefined,
      )
      if (opened.kind === 'rejected') throw new Error(`the agent said something ${opened.why}`)
      this.heard.push(opened.message)
    })
    return this
  }

  /** Seals a command; what `fields` leaves out is filled in as a well-behaved coordinator would. */
  seal(type: CommandType, fields: Record<string, unknown> = {}): Uint8Array {
    const body = {
      fleet: this.#definition.fleet,
      host: this.#definition.host,
      coordinator: this.id,
      operator: 'tester@here',
      nonce: randomUUID(),
      head: null,
      ...(type === 'observe' || type === 'recall' ? {} : { run: this.run }),
      ...fields,
    }
    return seal({ type, body } as unknown as Command, this.keys.signing).bytes
  }

  async deliver(bytes: Uint8Array): Promise<void> {
    this.sent.push(bytes)
    await this.#transport.send({ agent: this.#definition.host }, bytes)
  }

  /** Says it and waits for the next answer of that type. */
  async ask<Type extends AnswerType>(
    type: CommandType,
    fields: Record<string, unknown>,
    expected: Type,
  ): Promise<Body<Type>> {
    const before = this.heard.length
    await this.deliver(this.seal(type, fields))
    return await this.next(expected, before)
  }

  async next<Type extends AnswerType>(expected: Type, from = 0, timeoutMs = 60_000): Promise<Body<Type>> {
    const find = (): Answer | undefined => this.heard.slice(from).find((answer) => answer.type === expected)
    const answer = await until(`a ${expected} of the agent`, find, { timeoutMs })
    return answers[expected].parse(answer.body) as Body<Type>
  }

  /** Learns a beacon, and claims the host with it. */
  async claim(fields: Record<string, unknown> = {}): Promise<Body<'report'>> {
    const beacon = await this.beacon()
    return await this.ask(
      'claim',
      { takeOver: 'no', definitions: [], tasks: [], beacon, ...fields },
      'report',
    )
  }

  /** A fresh beacon of the agent. */
  async beacon(): Promise<string> {
    return (await this.ask('observe', { services: [], settle: false }, 'report')).beacon
  }

  /** The fields of an action on a service, by the newest claim. */
  action(verb: 'start' | 'stop', service: string, claimed: Body<'report'>): Record<string, unknown> {
    const definition = this.#definition.services.find((one) => one.service === service)
    return {
      step: `${verb} ${service}@${this.#definition.host}`,
      action: randomUUID(),
      verb,
      service,
      definition: digest(definition),
      grant: claimed.holder!.grant,
      beacon: claimed.beacon,
    }
  }

  /** The same for the host itself. */
  power(verb: HostVerb, claimed: Body<'report'>): Record<string, unknown> {
    return {
      step: `${verb} ${this.#definition.host}`,
      action: randomUUID(),
      verb,
      boot: claimed.boot,
      definition: digest(this.#definition.power),
      grant: claimed.holder!.grant,
      beacon: claimed.beacon,
    }
  }
}
