import { connect, type NatsConnection } from '@nats-io/transport-node'

/** By a URL with user and password, as a fleet file has it. */
export function connectToNats(url: string): Promise<NatsConnection> {
  const { host: servers, username: user, password: pass } = new URL(url)
  return connect({ servers, user, pass })
}
