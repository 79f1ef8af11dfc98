import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../support/until.ts'
import { checkoutOnHosts, type Host } from './host.ts'

// The agent as administrators are told to run it: the unit of the examples, the program in /usr/local/bin, the
// configuration in /etc/filo.

const unit = new URL('../../examples/systemd/filo-agent.service', import.meta.url)
const userOfUnit = new URL('../../examples/systemd/filo-agent.service.d/user.conf', import.meta.url)
const answerTimeoutMs = 60_000

/** Before the first boot. */
export function installAgent(host: Host): void {
  host.write('/etc/systemd/system/filo-agent.service', readFileSync(unit, 'utf8'))
  host.link('/usr/local/bin/filo-agent', `${checkoutOnHosts}/packages/agent/bin/filo-agent`)
}

/** Gives it what `filo agent-config HOST -o DIR` wrote, and starts it anew. */
export async function configureAgent(host: Host, dir: string): Promise<void> {
  for (const name of readdirSync(dir)) {
    host.write(`/etc/filo/${name}`, readFileSync(join(dir, name), 'utf8'), 0o600)
  }
  if (existsSync(join(dir, 'sudoers'))) await giveUp(host)
  await host.exec('systemctl', 'enable', '--quiet', 'filo-agent')
  await host.exec('systemctl', 'restart', 'filo-agent')
}

/** Root's rights, as docs/security.md says. */
async function giveUp(host: Host): Promise<void> {
  host.write('/etc/systemd/system/filo-agent.service.d/user.conf', readFileSync(userOfUnit, 'utf8'))
  await host.sh(`
chown -R root:filo /etc/filo && chmod -R u=rwX,g=rX,o= /etc/filo
visudo -cf /etc/filo/sudoers && install -m 440 /etc/filo/sudoers /etc/sudoers.d/filo-agent
filo-agent --check
systemctl daemon-reload`)
}

const hasAnswered = `
invocation=$(systemctl show --value -p InvocationID filo-agent)
[ -n "$invocation" ] && journalctl --quiet -o cat "_SYSTEMD_INVOCATION_ID=$invocation" | grep -q '"answering"'`

/** Waits until the agent's present process answers for its host. */
export async function untilAgentAnswers(host: Host): Promise<void> {
  await until(
    `the agent of ${host.name} to answer`,
    async () => (await host.attempt('/bin/sh', '-c', hasAnswered)).code === 0,
    { timeoutMs: answerTimeoutMs, intervalMs: 100 },
  )
}
