import { connect } from 'node:net'
import { cut, type ReadyDefinition } from '@filo/protocol'
import { describeExit } from './exec.ts'
import { firstLine, printable } from './printable.ts'
import { direct, type Runner } from './runner.ts'

/** Whether a service is ready beyond its manager's word, and what the probes saw. */
export interface Readiness {
  readonly ready: boolean
  readonly detail: string
}

/**
 * Asks every declared probe once, side by side; all must pass. Never throws: what does not answer in time, or before
 * the signal aborts, is not ready.
 */
export async function probeReady(
  { tcp, http, command }: ReadyDefinition,
  signal: AbortSignal,
  timeoutMs: number,
  runner = direct,
): Promise<Readiness> {
  const timeUp = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const probes: Promise<Readiness>[] = []
  if (tcp !== undefined) probes.push(probeTcp(tcp, timeUp))
  if (http !== undefined) probes.push(probeHttp(http, timeUp))
  if (command !== undefined) probes.push(probeCommand(runner, command, signal, timeoutMs))
  const answers = await Promise.all(probes)
  const failed = answers.filter(({ ready }) => !ready)
  const told = failed.length > 0 ? failed : answers
  return { ready: failed.length === 0, detail: cut(told.map(({ detail }) => detail).join('; ')) }
}

/** Accepts a connection; nothing is sent. */
async function probeTcp(address: string, signal: AbortSignal): Promise<Readiness> {
  const endpoint = parseEndpoint(address)
  if (endpoint === undefined) return { ready: false, detail: `tcp ${address}: not host:port` }
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  // An abort comes as the socket's error event like every other way to fail.
  const socket = connect({ ...endpoint, signal })
  socket.once('connect', () => resolve(undefined))
  socket.on('error', (error: NodeJS.ErrnoException) => {
    resolve(signal.aborted ? 'no answer in time' : (error.code ?? error.message))
  })
  const fault = await promise
  socket.destroy()
  return { ready: fault === undefined, detail: `tcp ${address}: ${fault ?? 'accepts connections'}` }
}

/** `host:port`; an IPv6 address stands in brackets. */
function parseEndpoint(address: string): { host: string; port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65535 ? undefined : { host, port }
}

/** Answers 2xx itself: a redirect may lead to another server, so it counts as an answer that is not 2xx. */
async function probeHttp(url: string, signal: AbortSignal): Promise<Readiness> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal })
    // The status has come; whatever length of body follows is not read.
    await response.body?.cancel()
    return { ready: response.ok, detail: `http ${url}: ${response.status}` }
  } catch (error) {
    return { ready: false, detail: `http ${url}: ${signal.aborted ? 'no answer in time' : reason(error)}` }
  }
}

/** fetch says only "fetch failed"; what failed is the cause. */
function reason(error: unknown): string {
  const { cause } = error as { cause?: NodeJS.ErrnoException }
  return printable(cause?.code ?? cause?.message ?? String(error))
}

async function probeCommand(
  runner: Runner,
  argv: readonly string[],
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Readiness> {
  const { exit, stdout, stderr } = await runner.look(argv, { signal, timeoutMs })
  const said = firstLine(stderr) || firstLine(stdout)
  const told = exit.kind === 'aborted' ? 'no answer in time' : describeExit(exit)
  return {
    ready: exit.kind === 'exited' && exit.code === 0,
    detail: `${argv[0]}: ${told}${said === '' ? '' : ` (${said})`}`,
  }
}
