import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { amqpRightsOf, natsRightsOf } from '@filo/protocol'
import { keepAccounts, makeAccounts, type Account } from '../engine/accounts.ts'
import type { Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printLines } from './print.ts'

export interface SetupOptions {
  readonly output?: string
  readonly apply?: true
}

/**
 * Makes an account for this coordinator and for each host, and what gives each its least rights: for RabbitMQ a shell script of
 * rabbitmqctl(8), for NATS a part of nats-server.conf. From then on Filo uses these accounts.
 */
export async function brokerSetup(context: Context, { output, apply }: SetupOptions): Promise<ExitCode> {
  const { fleet, dir, file } = loadFleet(context)
  const { broker } = fleet
  if (broker === 'local') {
    throw new Exit(exitCodes.refused, `${file} says "broker: local": there is no broker to set up`)
  }
  const [url] = broker.urls as [string, ...string[]]
  const isNats = url.startsWith('nats')
  if (apply && isNats) {
    throw new Exit(
      exitCodes.usage,
      'NATS has its users in its configuration: write them with -o FILE, include FILE there, and have the server read it again: nats-server --signal reload',
    )
  }
  const accounts = makeAccounts(dir, fleet.name, fleet.hosts.keys())
  const setup = isNats ? natsUsers(accounts) : rabbitmqScript(accounts, virtualHostOf(url))
  // What the broker has not taken is not used: nobody would get in.
  if (apply) await carryOut(setup, context.environment)
  keepAccounts(dir, accounts)
  if (apply) context.stdout.write(`made ${accounts.length} accounts at the broker, with their rights\n`)
  else if (output === undefined) context.stdout.write(setup)
  else {
    writeFileSync(output, '', { mode: 0o600 })
    chmodSync(output, 0o600)
    writeFileSync(output, setup)
  }
  const next = apply
    ? []
    : isNats
      ? [
          'Include it in nats-server.conf instead of other users, and have the server read that again: nats-server --signal reload',
        ]
      : ['Run it with sh where rabbitmqctl may be used: at the broker, as root']
  printLines(context.stderr, [
    ...next,
    'Then: filo doctor; and for each host: filo agent-config HOST -o DIR, copy DIR to its /etc/filo, and there: systemctl restart filo-agent',
  ])
  return exitCodes.done
}

function virtualHostOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1)) || '/'
}

/** Passwords go by standard input: arguments can be seen by everybody on the machine. */
function rabbitmqScript(accounts: readonly Account[], virtualHost: string): string {
  const lines = accounts.flatMap(({ party, user, password }) => {
    const { configure, write, read, topics } = amqpRightsOf(party)
    const at = `-p ${quoted(virtualHost)} ${quoted(user)}`
    return [
      `account ${quoted(user)} ${quoted(password)}`,
      `ctl set_permissions ${at} ${[configure, write, read].map(quoted).join(' ')}`,
      ...topics.map(
        (topic) =>
          `ctl set_topic_permissions ${at} ${[topic.exchange, topic.write, topic.read].map(quoted).join(' ')}`,
      ),
    ]
  })
  return `#!/bin/sh
# The accounts of Filo at RabbitMQ, and their rights. It has their passwords.
set -eu
ctl() { rabbitmqctl -q "$@"; }
listed=$(ctl list_users)
known=$(printf '%s\\n' "$listed" | cut -f 1)
account() {
  if printf '%s\\n' "$known" | grep -Fqx -- "$1"; then printf %s "$2" | ctl change_password "$1"
  else printf %s "$2" | ctl add_user "$1"
  fi
}
${lines.join('\n')}
`
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

function natsUsers(accounts: readonly Account[]): string {
  const users = accounts.map(({ party, user, password }) => {
    const { publish, subscribe } = natsRightsOf(party)
    const list = (subjects: readonly string[]): string =>
      `[${subjects.map((one) => JSON.stringify(one)).join(', ')}]`
    return `    {
      user: ${JSON.stringify(user)}, password: ${JSON.stringify(password)}
      permissions: {
        publish: { allow: ${list(publish)} }
        subscribe: { allow: ${list(subscribe)} }
      }
    }`
  })
  return `# The accounts of Filo at NATS, and their rights. It has their passwords.
authorization: {
  users: [
${users.join('\n')}
  ]
}
`
}

async function carryOut(script: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const shell = spawn('sh', ['-s'], { stdio: ['pipe', 'ignore', 'pipe'], env: environment })
  let said = ''
  shell.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  shell.stdin.on('error', () => {}) // it has ended, and says why
  shell.stdin.end(script)
  const [code] = (await once(shell, 'close')) as [number | null]
  if (code === 0) return
  throw new Exit(exitCodes.brokerUnavailable, `rabbitmqctl could not do it all:\n${said.trim()}`)
}
