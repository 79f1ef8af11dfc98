import { openTransport, Redactor } from '@filo/protocol'
import { pino } from 'pino'
import type { ReadConfig } from './config.ts'
import { openHost } from './host.ts'
import { openLog } from './log.ts'
import { readPolicy } from './policy-file.ts'

/**
 * Answers for a host until this process is told to end, and logs on standard output. Throws what openTransport and
 * openHost throw.
 * @param boot the one that the host is in
 */
export async function serve(
  { broker, tls, definition, identity, secrets, policyFile, user }: ReadConfig,
  stateDir: string,
  boot: string,
): Promise<void> {
  const redactor = new Redactor(secrets)
  const log = openLog(
    redactor,
    {
      base: { host: definition.host },
      // For whoever reads the journal at night: the time of day, and the level as a word.
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ sync: true }),
  )
  const policy = readPolicy(policyFile)
  if (policy.kind === 'unreadable') {
    log.error({ file: policyFile, why: policy.why }, 'the policy cannot be read: nothing is begun')
  }
  const ending = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort(signal))
  await using transport = await openTransport(broker, {
    name: `filo-agent ${definition.host}`,
    willReceive: true,
    tls,
  })
  transport.onStatus((status) => {
    const isFine = status.kind === 'connected' || status.kind === 'renewed'
    log[isFine ? 'info' : 'warn'](status, 'broker')
  })
  await using _agent = await openHost({
    definition,
    identity,
    transport,
    log,
    stateDir,
    isActing: true,
    isRelayed: true,
    boot,
    redactor,
    policyFile,
    isBySudo: user !== undefined && process.geteuid?.() !== 0,
  })
  log.info({ services: definition.services.length, key: identity.key.id }, 'answering')
  await new Promise<void>((resolve) => {
    ending.signal.addEventListener('abort', () => resolve(), { once: true })
    if (ending.signal.aborted) resolve()
  })
  log.info({ signal: ending.signal.reason }, 'ending; services stay as they are')
}
