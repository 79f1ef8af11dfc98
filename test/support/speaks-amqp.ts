import { connect } from 'node:net'

/** Whether a server answers AMQP 0-9-1's protocol header with a method frame, which is connection.start. */
export function speaksAmqp(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host }, () => socket.write('AMQP\0\0\x09\x01', 'latin1'))
    const answer = (speaks: boolean): void => {
      socket.destroy()
      resolve(speaks)
    }
    socket.setTimeout(2000, () => answer(false))
    socket.once('error', () => answer(false))
    socket.once('close', () => answer(false))
    socket.once('data', (bytes: Buffer) => answer(bytes[0] === 1))
  })
}
