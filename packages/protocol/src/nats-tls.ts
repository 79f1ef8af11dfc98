import { once } from 'node:events'
import { connect as connectTcp, isIP } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  type ConnectionOptions,
  type PeerCertificate,
} from 'node:tls'
import type { TlsOptions } from '@nats-io/transport-node'
import type { NatsServers } from './nats-url.ts'
import type { Tls } from './tls-renewal.ts'

const refusalMs = 2000

/** What the library takes for each of its connections: it looks here again for every one. */
export function natsTls({ urls }: NatsServers, tls: Tls | undefined): TlsOptions {
  const addresses = urls.map(({ hostname }) => hostname).filter((hostname) => isIP(hostname) !== 0)
  return {
    get ca() {
      return tls?.current.ca
    },
    get cert() {
      return tls?.current.cert
    },
    get key() {
      return tls?.current.key
    },
    // Of a server that is named by its address the library tells nobody which: it is one of those of the list.
    ...(addresses.length > 0 && { checkServerIdentity: identityOf(addresses) }),
  } as TlsOptions
}

function identityOf(addresses: readonly string[]): NonNullable<ConnectionOptions['checkServerIdentity']> {
  return (hostname: string, certificate: PeerCertificate) => {
    if (hostname !== '' && hostname !== 'localhost') return checkServerIdentity(hostname, certificate)
    const faults = addresses.map((address) => checkServerIdentity(address, certificate))
    return faults.includes(undefined) ? undefined : faults[0]
  }
}

/**
 * Why a server ends TLS with us, where it does: it refuses a certificate by an alert, of which the library tells no more
 * than that nothing came. Undefined where no server of the list refuses anything.
 */
export async function tlsRefusal({ urls }: NatsServers, tls: Tls | undefined): Promise<Error | undefined> {
  for (const { hostname, port = 4222 } of urls) {
    const refusal = await refusalOf(hostname, port, tls)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

async function refusalOf(host: string, port: number, tls: Tls | undefined): Promise<Error | undefined> {
  const signal = AbortSignal.timeout(refusalMs)
  const plain = connectTcp(port, host)
  plain.on('error', () => {})
  try {
    // A NATS server says first what it is, and speaks TLS after that.
    await once(plain, 'data', { signal })
    const { ca, cert, key } = tls?.current ?? {}
    const secure = connectTls({
      socket: plain,
      ...(isIP(host) === 0 ? { servername: host } : { host }),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert, key }),
    })
    // With TLS 1.3 the refusal comes after what looks like success.
    secure.on('secureConnect', () => secure.resume())
    await once(secure, 'close', { signal })
    return undefined
  } catch (error) {
    return signal.aborted ? undefined : (error as Error)
  } finally {
    plain.destroy()
  }
}
