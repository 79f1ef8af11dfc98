import { readCoordinatorPublicKey } from '../engine/keys.ts'
import { openConnection } from './connection.ts'
import type { Context } from './context.ts'
import { examineAgents } from './examine-agents.ts'
import { examineBroker } from './examine-broker.ts'
import { examineKeys, examineStateDir } from './examine-keys.ts'
import { Exit, type ExitCode } from './exit-code.ts'
import { codeOf, findingLines, fine, wrong, type Finding } from './finding.ts'
import { loadFleet, type LoadedFleet } from './load-fleet.ts'
import { look } from './look.ts'
import { counted } from './plan-view.ts'
import { printJson, printLines } from './print.ts'

/** Looks for all that could make a command fail, and says what to do about it. Changes nothing. */
export async function doctor(context: Context): Promise<ExitCode> {
  const findings = await examine(context)
  if (context.format === 'json') printJson(context.stdout, { findings })
  else printLines(context.stdout, findingLines(findings, context.stdout.colors))
  return codeOf(findings)
}

async function examine(context: Context): Promise<Finding[]> {
  let loaded: LoadedFleet
  try {
    loaded = loadFleet(context)
  } catch (error) {
    if (!(error instanceof Exit)) throw error
    return [wrong('fleet', error.code, error.message, 'nothing else can be looked at before that')]
  }
  const { fleet, file, dir } = loaded
  const size = `${counted(fleet.hosts.size, 'host')}, ${counted(fleet.services.size, 'service')}`
  const findings = [
    fine('fleet', `${file}: ${fleet.name}, ${size}`),
    ...examineStateDir(dir),
    ...examineKeys(fleet, dir),
    ...(await examineBroker(fleet, dir, context.operator)),
  ]
  // Without keys or broker no agent can be asked.
  if (findings.some(({ verdict }) => verdict === 'wrong')) return findings
  return [...findings, ...(await askAgents(context, loaded))]
}

async function askAgents(context: Context, loaded: LoadedFleet): Promise<Finding[]> {
  const { topology, fleet, dir } = loaded
  await using connection = await openConnection(context, loaded)
  const wanted = topology.instances.map(({ service, host }) => ({ service: service.name, host }))
  const ownKey = fleet.broker === 'local' ? undefined : readCoordinatorPublicKey(dir.keys).id
  return examineAgents(topology, await look(loaded, connection, wanted), ownKey)
}
