import type { Writable } from 'node:stream'
import type { AuditEvent } from '@filo/protocol'
import { SinkLost, type Sink } from './sink.ts'

/** JSON lines to a stream; kept when the system has taken the line. */
export class StreamSink implements Sink {
  readonly #stream: Writable

  constructor(stream: Writable) {
    this.#stream = stream
  }

  keep(event: AuditEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(`${JSON.stringify(event)}\n`, (error) => {
        if (error) reject(new SinkLost('the reader is gone'))
        else resolve()
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
