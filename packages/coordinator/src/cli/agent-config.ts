import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize, resolve } from 'node:path'
import { sudoersFor, UnfitForSudo, type AgentConfig } from '@filo/agent'
import { formatSigningKey, formatVerifyingKey, readTls } from '@filo/protocol'
import { dump } from 'js-yaml'
import { brokerFor } from '../engine/accounts.ts'
import { readCoordinatorPublicKey, readHostKey, readHostSecret } from '../engine/keys.ts'
import { hostDefinition, type Broker, type Fleet } from '../fleet/fleet.ts'
import { hint } from '../fleet/problem.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printLines } from './print.ts'

const keyName = 'agent.key'

/**
 * Prints a host's slice of the fleet file, or writes it into a folder, with the host's private key where that was made here and with
 * the rules for sudo where its agent is not root.
 */
export async function agentConfig(
  context: Context,
  host: string,
  { output, sudoers }: { readonly output?: string; readonly sudoers?: true },
): Promise<ExitCode> {
  const { fleet, dir, file } = loadFleet(context)
  if (!fleet.hosts.has(host)) {
    const names = [...fleet.hosts.keys()]
    throw new Exit(exitCodes.nothingMatched, `${file} has no host "${host}"${hint(host, names)}`)
  }
  if (fleet.broker === 'local') {
    throw new Exit(
      exitCodes.refused,
      `${file} says "broker: local": its hosts are in the filo process itself, so there is no agent to write ` +
        'a configuration for. With an amqp:// or nats:// URL as broker there is',
    )
  }
  if (sudoers) {
    context.stdout.write(sudoersOf(fleet, host, file))
    return exitCodes.done
  }
  const { agentUser } = fleet.hosts.get(host)!
  const config: AgentConfig = {
    ...hostDefinition(fleet, host),
    broker: brokerFor(dir, fleet.broker.urls, { agent: host }),
    ...(fleet.broker.tlsOnHosts && { tls: fleet.broker.tlsOnHosts }),
    key: keyName,
    trusted: [formatVerifyingKey(readCoordinatorPublicKey(dir.keys))],
    ...(agentUser !== undefined && { user: agentUser }),
    ...(fleet.secrets !== undefined && { secrets: fleet.secrets }),
  }
  const yaml = `# The agent of ${host}. Written by: filo agent-config ${host}\n${dump(config, { noRefs: true })}`
  if (output === undefined) {
    context.stdout.write(yaml)
    return exitCodes.done
  }
  const secret = readHostSecret(dir.keys, host)
  const rules = agentUser === undefined ? undefined : sudoersOf(fleet, host, file)
  mkdirSync(output, { recursive: true, mode: 0o700 })
  // The configuration may hold the broker's password.
  writeSecret(join(output, 'agent.yaml'), yaml)
  if (secret !== undefined) writeSecret(join(output, keyName), formatSigningKey(secret))
  if (rules !== undefined) writeFileSync(join(output, 'sudoers'), rules)
  const authorities = writeAuthorities(fleet.broker, resolve(context.cwd, dirname(file)), output)
  const wrote = [
    ...(secret === undefined ? [] : [join(output, keyName)]),
    ...(rules === undefined ? [] : [join(output, 'sudoers')]),
    ...authorities,
  ]
  const { cert, key } = fleet.broker.tlsOnHosts ?? {}
  printLines(context.stdout, [
    `wrote ${[join(output, 'agent.yaml'), ...wrote].join(' and ')}`,
    ...(cert === undefined || key === undefined
      ? []
      : [
          `${host} shows the broker a certificate of its own: ${[cert, key].map(onHost).join(' and ')} on ${host}`,
        ]),
    ...(secret === undefined && readHostKey(dir.keys, host) === undefined
      ? [
          `On ${host} make its key and see its fingerprint by: filo-agent --fingerprint; then here: filo enroll ${host}`,
        ]
      : []),
    agentUser === undefined
      ? `On ${host} what was written belongs in /etc/filo, readable by root only; then: systemctl restart filo-agent`
      : `On ${host} what was written belongs in /etc/filo, root's, and readable by the group of ${agentUser}; then: systemctl restart filo-agent`,
  ])
  return exitCodes.done
}

function sudoersOf(fleet: Fleet, host: string, file: string): string {
  const { agentUser } = fleet.hosts.get(host)!
  if (agentUser === undefined) {
    throw new Exit(
      exitCodes.refused,
      `${file} has the agent of ${host} run as root, who needs no rules. To have it run as another user, say so there: ` +
        `hosts: { ${host}: { agent_user: filo } }`,
    )
  }
  try {
    return sudoersFor(hostDefinition(fleet, host), agentUser)
  } catch (error) {
    if (error instanceof UnfitForSudo) throw new Exit(exitCodes.refused, error.message)
    throw error
  }
}

/** Those of the coordinator, where a host has them beside its configuration under the same name: they are no secret. */
function writeAuthorities({ tls, tlsOnHosts }: Broker, beside: string, output: string): string[] {
  const name = tlsOnHosts?.ca
  if (name === undefined || isAbsolute(name) || tls?.ca !== resolve(beside, name)) return []
  if (normalize(name).startsWith('..')) return []
  const { ca } = readTls({ ca: tls.ca })
  const file = join(output, name)
  // Not for root alone: the agent may be another user.
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, ca!)
  return [file]
}

function onHost(path: string): string {
  return resolve('/etc/filo', path)
}

/** Also narrows a file that was there with wider permissions. */
function writeSecret(file: string, text: string): void {
  writeFileSync(file, '', { mode: 0o600 })
  chmodSync(file, 0o600)
  writeFileSync(file, text)
}
