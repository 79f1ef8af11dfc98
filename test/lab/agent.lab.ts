import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { LabFleet } from './fleets.ts'
import type { Host } from './host.ts'
import { statusOf } from './status.ts'

// Services that are no units: the agent itself starts them, and they are not to share its fate.

/** A service as its script is: a daemon of its own session, and a pid file. */
const script = `#!/bin/sh
name=$(basename "$0")
pid=$(cat "/run/$name.pid" 2>/dev/null)
live() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
case $1 in
start) live || { setsid sleep infinity & echo $! > "/run/$name.pid"; } ;;
stop) live && kill "$pid"; rm -f "/run/$name.pid" ;;
status) live && exit 0; exit 3 ;;
esac
`

const fleetFile = `fleet: scripts
broker: local
hosts: { one: {} }
services:
  worker: { hosts: one, lsb: { name: worker, dir: /opt/init.d } }
  job:
    hosts: one
    needs: worker
    command: { start: [/opt/init.d/job, start], stop: [/opt/init.d/job, stop], status: [/opt/init.d/job, status] }
`

const fleet: LabFleet = {
  hosts: [{ name: 'one' }],
  async prepare(lab) {
    for (const name of ['worker', 'job']) lab.host('one').write(`/opt/init.d/${name}`, script, 0o755)
    await lab.declare(fleetFile)
  },
}

describeInLab('an agent that is a unit of systemd', fleet, (current) => {
  const host = (): Host => current.lab.host('one')
  const pids = (): Promise<string> => host().exec('cat', '/run/worker.pid', '/run/job.pid')
  const states = async (): Promise<string[]> =>
    [...(await statusOf(current.lab)).values()].map(({ state }) => state)

  test('services that it started by scripts outlive a restart, a kill and a stop of the agent', async () => {
    expect(await current.lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    const started = await pids()
    await host().exec('systemctl', 'restart', 'filo-agent')
    await untilAgentAnswers(host())
    expect(await states()).toEqual(['running', 'running'])
    await host().exec('systemctl', 'kill', '--kill-who=main', '--signal=KILL', 'filo-agent')
    await until('the agent to be started again', async () => {
      await untilAgentAnswers(host())
      return (
        (await host().exec('systemctl', 'show', '--value', '-p', 'NRestarts', 'filo-agent')).trim() !== '0'
      )
    })
    await host().exec('systemctl', 'stop', 'filo-agent')
    await host().exec('systemctl', 'start', 'filo-agent')
    await untilAgentAnswers(host())
    expect(await states()).toEqual(['running', 'running'])
    expect(await pids()).toBe(started)
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(await states()).toEqual(['stopped', 'stopped'])
  })

  test('after a crash of the host its agent answers from another boot, and what ran there is seen to be stopped', async () => {
    expect(await current.lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    await host().crash()
    expect(await current.lab.filo('status')).toMatchObject({ code: 4 })
    await host().boot()
    await untilAgentAnswers(host())
    expect(await states()).toEqual(['stopped', 'stopped'])
    expect(await current.lab.filo('start', '--yes')).toMatchObject({ code: 0 })
  })
})
