import { AddressInUse, BrokerUnavailable, DamagedDatabase, readBootId, systemClock } from '@filo/protocol'
import { Command, CommanderError } from 'commander'
import { ConfigurationError, readConfig, showFingerprint, type ReadConfig } from './config.ts'
import { LedgerInUse } from './ledger.ts'
import { createManagers } from './managers/all.ts'
import { localTime, readPolicy } from './policy-file.ts'
import { standstillOf } from './policy.ts'
import { rightsOf } from './rights.ts'
import { isSystemd } from './scope.ts'
import { serve } from './serve.ts'

/** Exit codes of sysexits(3), as DESIGN section 9 uses them. */
const exitCodes = { usage: 64, damaged: 65, unavailable: 69, inUse: 75, configuration: 78 } as const

/** `filo-agent`: answers for one host until it is told to end. Logs are JSON lines on standard output. */
async function main(): Promise<void> {
  const program = new Command('filo-agent')
    .description('Drives the service managers of this host for Filo.')
    .option('-c, --config <file>', 'what `filo agent-config HOST` wrote', '/etc/filo/agent.yaml')
    .option('--state <dir>', 'where the ledger is', '/var/lib/filo-agent')
    .option('--check', 'read configuration, keys and policy, say what is wrong, and end')
    .option('--fingerprint', 'show the fingerprint of its key, which is made where there is none, and end')
    .exitOverride()
    .parse()
  const { config, state, check, fingerprint } = program.opts<{
    config: string
    state: string
    check?: true
    fingerprint?: true
  }>()
  if (fingerprint) {
    process.stdout.write(`${showFingerprint(config)}\n`)
    return
  }
  const read = readConfig(config)
  if (check) {
    const { host, services, hooks } = read.definition
    const policy = readPolicy(read.policyFile)
    if (policy.kind === 'unreadable') {
      throw new ConfigurationError(`${policy.file} forbids everything, for it cannot be read:\n${policy.why}`)
    }
    const frozen = standstillOf(policy, localTime(systemClock.wall()))
    const also = frozen === undefined ? '' : `; ${frozen.why}`
    await requireRights(read)
    process.stdout.write(
      `${config}: fine; ${host}, services: ${services.length}, hooks: ${hooks.length}${also}\n`,
    )
    return
  }
  await serve(read, state, readBootId())
}

/** Throws ConfigurationError where the user of the agent lacks rights; as root, asks for those of that user. */
async function requireRights({ definition, user }: ReadConfig): Promise<void> {
  if (user === undefined) return
  const isRoot = process.geteuid?.() === 0
  const rights = rightsOf(definition, createManagers(), isSystemd(), isRoot ? user : undefined)
  const lack = await rights.lackFor()
  if (lack !== undefined) throw new ConfigurationError(lack)
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  if (error instanceof ConfigurationError) return exitCodes.configuration
  if (error instanceof DamagedDatabase) return exitCodes.damaged
  if (error instanceof BrokerUnavailable) return exitCodes.unavailable
  if (error instanceof LedgerInUse || error instanceof AddressInUse) return exitCodes.inUse
  return 1
}

/** The errors that are told without a stack. */
function wordsOf(error: Error): string {
  if (!(error instanceof DamagedDatabase)) return error.message
  return (
    `${error.message}\n` +
    'What this agent did can no longer be told from its ledger, so it does nothing and answers nothing. Nothing was changed in it.\n' +
    `See whether the disk is failing; then move the ledger away (mv ${error.path}* to another directory) and start the agent: ` +
    'it begins a new one. What runs had asked of this host stays unknown to them until somebody looks: filo show RUN'
  )
}

try {
  await main()
} catch (error) {
  process.exitCode = exitCodeOf(error)
  const isExpected = process.exitCode !== 1
  if (!(error instanceof CommanderError)) {
    process.stderr.write(
      `filo-agent: ${isExpected ? wordsOf(error as Error) : String((error as Error).stack)}\n`,
    )
  }
}
// What goes on is left to the next agent process, which finds out what came of it. Waiting here for the script of
// an action would end it at its deadline, with nobody to record that.
process.exit()
