import { createHmac } from 'node:crypto'
import type { AuditEvent } from '@filo/protocol'
import { Attempts } from './attempts.ts'
import type { Sink, Trouble } from './sink.ts'

const timeoutMs = 15_000

/**
 * One POST for each event, as CloudEvents over HTTP in structured mode
 * (https://github.com/cloudevents/spec, HTTP protocol binding), signed as Standard Webhooks are
 * (https://www.standardwebhooks.com): HMAC-SHA256 of id, time and body. Kept when the other side answers 2xx; any other
 * answer is tried again.
 */
export class WebhookSink implements Sink {
  readonly #url: string
  readonly #secret: Buffer | undefined
  readonly #attempts: Attempts

  constructor(url: string, secret: Buffer | undefined, trouble: Trouble) {
    this.#url = url
    this.#secret = secret
    this.#attempts = new Attempts(`the webhook at ${new URL(url).host}`, trouble)
  }

  keep(event: AuditEvent): Promise<void> {
    const body = JSON.stringify(event)
    const id = `${event.source}#${event.sequence}`
    return this.#attempts.keep(async () => {
      const response = await fetch(this.#url, {
        method: 'POST',
        redirect: 'error',
        headers: { 'content-type': 'application/cloudevents+json; charset=utf-8', ...this.#signed(id, body) },
        body,
        signal: AbortSignal.timeout(timeoutMs),
      })
      await response.body?.cancel()
      if (!response.ok) throw new Error(`it answers ${response.status} ${response.statusText}`.trim())
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#attempts[Symbol.asyncDispose]()
  }

  /** Made anew for each attempt: the other side refuses what is old. */
  #signed(id: string, body: string): Record<string, string> {
    const timestamp = String(Math.floor(Date.now() / 1000))
    const head = { 'webhook-id': id, 'webhook-timestamp': timestamp }
    if (this.#secret === undefined) return head
    const signature = createHmac('sha256', this.#secret).update(`${id}.${timestamp}.${body}`).digest('base64')
    return { ...head, 'webhook-signature': `v1,${signature}` }
  }
}

/** A secret as Standard Webhooks writes it, `whsec_` and base64; undefined for anything else, or one that is too short. */
export function parseSecret(text: string): Buffer | undefined {
  const [, encoded] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text.trim()) ?? []
  const secret = encoded === undefined ? undefined : Buffer.from(encoded, 'base64')
  return secret !== undefined && secret.length >= 24 ? secret : undefined
}
