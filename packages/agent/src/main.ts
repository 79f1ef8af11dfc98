import { AddressInUse, BrokerUnavailable, openTransport } from '@filo/protocol'
import { Command, CommanderError } from 'commander'
import { pino } from 'pino'
import { ConfigurationError, readConfig } from './config.ts'
import { openHost } from './host.ts'
import { LedgerInUse } from './ledger.ts'

/** Exit codes of sysexits(3), as DESIGN section 9 uses them. */
const exitCodes = { usage: 64, unavailable: 69, inUse: 75, configuration: 78 } as const

/** `filo-agent`: answers for one host until it is told to end. Logs are JSON lines on standard output. */
async function main(): Promise<void> {
  const program = new Command('filo-agent')
    .description('Drives the service managers of this host for Filo.')
    .option('-c, --config <file>', 'what `filo agent-config HOST` wrote', '/etc/filo/agent.yaml')
    .option('--state <dir>', 'where the ledger is', '/var/lib/filo-agent')
    .option('--check', 'read the configuration and keys, say what is wrong, and end')
    .exitOverride()
    .parse()
  const { config, state, check } = program.opts<{ config: string; state: string; check?: true }>()
  const { broker, definition, identity } = readConfig(config)
  if (check) {
    const { host, services, hooks } = definition
    process.stdout.write(`${config}: fine; ${host}, services: ${services.length}, hooks: ${hooks.length}\n`)
    return
  }
  const log = pino(
    {
      base: { host: definition.host },
      // For whoever reads the journal at night: the time of day, and the level as a word.
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ sync: true }),
  )
  const ending = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort(signal))
  await using transport = await openTransport(broker, { name: `filo-agent ${definition.host}` })
  transport.onStatus((status) => log[status.kind === 'connected' ? 'info' : 'warn'](status, 'broker'))
  await using _agent = await openHost({
    definition,
    identity,
    transport,
    log,
    stateDir: state,
    isRelayed: true,
  })
  log.info({ services: definition.services.length, key: identity.key.id }, 'answering')
  await new Promise<void>((resolve) => {
    ending.signal.addEventListener('abort', () => resolve(), { once: true })
    if (ending.signal.aborted) resolve()
  })
  log.info({ signal: ending.signal.reason }, 'ending; services stay as they are')
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  if (error instanceof ConfigurationError) return exitCodes.configuration
  if (error instanceof BrokerUnavailable) return exitCodes.unavailable
  if (error instanceof LedgerInUse || error instanceof AddressInUse) return exitCodes.inUse
  return 1
}

try {
  await main()
} catch (error) {
  process.exitCode = exitCodeOf(error)
  const isExpected = process.exitCode !== 1
  if (!(error instanceof CommanderError)) {
    process.stderr.write(
      `filo-agent: ${isExpected ? (error as Error).message : String((error as Error).stack)}\n`,
    )
  }
}
// What goes on is left to the next agent process, which finds out what came of it. Waiting here for the script of
// an action would end it at its deadline, with nobody to record that.
process.exit()
