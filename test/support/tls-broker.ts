import { once } from 'node:events'
import { connect } from 'node:net'
import type { Broker, BrokerKind } from './broker.ts'
import type { Certificate } from './certificates.ts'
import { freePort } from './free-port.ts'
import { startNats } from './nats.ts'
import { startRabbitmq } from './rabbitmq.ts'
import { until } from './until.ts'

/** A broker that is reached by TLS, and asks for a certificate of each client. */
export interface TlsBroker extends Broker {
  /** With TLS, by the name `localhost`. */
  readonly tlsUrl: string
  /** It shows the certificate that is in its files now. Whom it trusts it reads when it starts. */
  reload(): Promise<void>
}

/** Starts one whose own certificate is `own`; certificates of clients must be signed by `ca`. */
export async function startTlsBroker(kind: BrokerKind, ca: string, own: Certificate): Promise<TlsBroker> {
  if (kind === 'nats') {
    const broker = await startNats([
      `tls { cert_file: "${own.cert}", key_file: "${own.key}", ca_file: "${ca}", verify: true }`,
    ])
    const { port } = new URL(broker.url)
    return { ...broker, tlsUrl: `natss://filo:filo@localhost:${port}`, reload: () => broker.reload() }
  }
  const port = await freePort()
  const broker = await startRabbitmq({
    conf: [
      `listeners.ssl.1 = 127.0.0.1:${port}`,
      `ssl_options.cacertfile = ${ca}`,
      `ssl_options.certfile = ${own.cert}`,
      `ssl_options.keyfile = ${own.key}`,
      'ssl_options.verify = verify_peer',
      'ssl_options.fail_if_no_peer_cert = true',
      // Who has no password is who the certificate names.
      'auth_mechanisms.1 = PLAIN',
      'auth_mechanisms.2 = EXTERNAL',
      'ssl_cert_login_from = common_name',
    ],
    plugins: ['rabbitmq_auth_mechanism_ssl'],
    // ssl(6): files are read for each connection.
    erl: '-ssl bypass_pem_cache true',
  })
  const untilTls = async (): Promise<void> => {
    await until('RabbitMQ to speak TLS', () => accepts(port), { timeoutMs: 60_000 })
  }
  await untilTls()
  return {
    ...broker,
    tlsUrl: `amqps://guest:guest@localhost:${port}`,
    reload: async () => {},
    async restart() {
      await broker.restart()
      await untilTls()
    },
  }
}

/** RabbitMQ opens its listeners one after the other. */
async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } finally {
    socket.destroy()
  }
}
