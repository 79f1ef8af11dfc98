import { request } from 'node:http'
import { parseXml, XmlElement, type XmlDocument } from '@rgrove/parse-xml'

// As much of XML-RPC (http://xmlrpc.com/spec.md) as supervisord speaks.

/** A call's arguments: all that supervisord's methods take. */
export type Argument = string | boolean

/** Where an XML-RPC server listens. */
export interface Endpoint {
  /** A Unix socket, or an http:// address. */
  readonly socket: string
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/** The server understood and said no. */
export class Fault extends Error {
  override name = 'Fault'
  readonly code: number

  constructor(code: number, text: string) {
    super(text)
    this.code = code
  }
}

/** No answer, or none that can be understood. What was asked may have been done. */
export class NoAnswer extends Error {
  override name = 'NoAnswer'
}

/** supervisord's answer takes about 1 KiB for each program. */
const answerBytes = 8 * 1024 * 1024

/** Calls a method. Throws Fault and NoAnswer; where the signal aborts, NoAnswer, and the server goes on. */
export async function call(
  endpoint: Endpoint,
  method: string,
  args: readonly Argument[],
  signal: AbortSignal,
): Promise<unknown> {
  const params = args.map((arg) => `<param><value>${formatArgument(arg)}</value></param>`).join('')
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${params}</params></methodCall>`
  const answer = await post(endpoint, body, signal)
  try {
    return readAnswer(parseXml(answer))
  } catch (error) {
    if (error instanceof Fault) throw error
    throw new NoAnswer(`${endpoint.socket} does not answer in XML-RPC`, { cause: error })
  }
}

function formatArgument(argument: Argument): string {
  if (typeof argument === 'boolean') return `<boolean>${argument ? 1 : 0}</boolean>`
  const escaped = argument.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<string>${escaped}</string>`
}

async function post(endpoint: Endpoint, body: string, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const { socket, username, password } = endpoint
  const isAddress = socket.startsWith('http://')
  const url = URL.parse('/RPC2', isAddress ? socket : 'http://localhost')
  if (url === null) throw new NoAnswer(`${socket}: not an http:// address`)
  const sent = request(url, {
    method: 'POST',
    ...(isAddress ? {} : { socketPath: socket }),
    ...(username === undefined ? {} : { auth: `${username}:${password ?? ''}` }),
    headers: { 'content-type': 'text/xml', 'content-length': Buffer.byteLength(body) },
    // A connection of its own, closed after the answer: an agent holds none open while nothing happens.
    agent: false,
    signal,
  })
  const fail = (error: Error): void => {
    const why = signal.aborted
      ? 'no answer in time'
      : ((error as NodeJS.ErrnoException).code ?? error.message)
    reject(new NoAnswer(`${socket}: ${why}`, { cause: error }))
  }
  sent.on('error', fail)
  sent.on('response', (response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    response.on('error', fail)
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > answerBytes) sent.destroy(new Error(`answers more than ${answerBytes} bytes`))
    })
    response.on('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'))
      else reject(new NoAnswer(`${socket}: HTTP ${response.statusCode}`))
    })
  })
  sent.end(body)
  return await promise
}

function readAnswer(document: XmlDocument): unknown {
  const answer = only(document, 'methodResponse')
  const fault = find(answer, 'fault')
  if (fault !== undefined) {
    const { faultCode, faultString } = readValue(only(fault, 'value')) as Record<string, unknown>
    throw new Fault(Number(faultCode), String(faultString))
  }
  return readValue(only(only(only(answer, 'params'), 'param'), 'value'))
}

/** A `<value>`: one typed element, or bare text, which is a string. */
function readValue(value: XmlElement): unknown {
  const [typed] = elementsOf(value)
  if (typed === undefined) return value.text
  switch (typed.name) {
    case 'int':
    case 'i4':
    case 'double':
      return Number(typed.text)
    case 'boolean':
      return typed.text.trim() === '1'
    case 'array':
      return elementsOf(only(typed, 'data')).map(readValue)
    case 'struct':
      return Object.fromEntries(
        elementsOf(typed).map((member) => [only(member, 'name').text, readValue(only(member, 'value'))]),
      )
    case 'nil':
      return null
    default:
      return typed.text
  }
}

function only(parent: XmlElement | XmlDocument, name: string): XmlElement {
  const found = find(parent, name)
  if (found === undefined) throw new Error(`no <${name}>`)
  return found
}

function find(parent: XmlElement | XmlDocument, name: string): XmlElement | undefined {
  return elementsOf(parent).find((element) => element.name === name)
}

function elementsOf(parent: XmlElement | XmlDocument): XmlElement[] {
  return parent.children.filter((child) => child instanceof XmlElement)
}
