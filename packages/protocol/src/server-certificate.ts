import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { expiresSoon } from './tls-files.ts'
import type { Weakness } from './transport.ts'

const warnDays = 14

/** Whether the certificate at the other end of a connection expires soon. */
export function weakCertificate(stream: Duplex | undefined): readonly Weakness[] {
  if (!(stream instanceof TLSSocket)) return []
  const { valid_to: validTo } = stream.getPeerCertificate()
  const text = validTo && expiresSoon({ file: "the broker's certificate", at: new Date(validTo) }, warnDays)
  if (!text) return []
  return [
    { text, advice: 'have it issued anew at the broker: from then on no agent and no command trusts it' },
  ]
}
