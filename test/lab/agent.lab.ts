import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { LabFleet } from './fleets.ts'
import type { Host } from './host.ts'
import { statusOf } from './status.ts'

// Services that are no units: the agent itself starts them, and they are not to share its fate.

/** A service as its script is: a daemon of its own session, and a pid file. Its start waits while it is told to. */
const script = `#!/bin/sh
name=$(basename "$0")
pid=$(cat "/run/$name.pid" 2>/dev/null)
live() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
case $1 in
start)
  echo began >> "/run/$name.begins"
  while [ -e "/run/$name.waits" ]; do touch "/run/$name.began"; sleep 0.1; done
  live || { setsid sleep infinity & echo $! > "/run/$name.pid"; }
  ;;
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
    start_timeout: 20s
    command: { start: [/opt/init.d/job, start], stop: [/opt/init.d/job, stop], status: [/opt/init.d/job, status] }
`

/** Has the agent's unit end all that is in its control group, as units do unless they say otherwise. */
const killsAll = '/etc/systemd/system/filo-agent.service.d/kill-all.conf'

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

  test('services that it started by scripts have control groups of their own', async () => {
    expect(await current.lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    const scopes = await host().sh(
      'for name in worker job; do grep ^0:: /proc/$(cat /run/$name.pid)/cgroup; done',
    )
    expect(scopes.trim().split('\n')).toEqual([
      expect.stringMatching(/^0::\/system\.slice\/filo-worker-[0-9a-f]{8}\.scope$/),
      expect.stringMatching(/^0::\/system\.slice\/filo-job-[0-9a-f]{8}\.scope$/),
    ])
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(await host().exec('systemctl', 'list-units', '--all', '--no-legend', 'filo-*.scope')).toBe('')
  })

  test('neither a service nor a script that it is running ends with its unit, even where that ends all of its control group', async () => {
    host().write(killsAll, '[Service]\nKillMode=control-group\n')
    await host().exec('systemctl', 'daemon-reload')
    expect(await current.lab.filo('start', 'worker', '--yes')).toMatchObject({ code: 0 })
    const worker = await host().exec('cat', '/run/worker.pid')
    await host().sh('rm -f /run/job.begins /run/job.began; touch /run/job.waits')
    await using start = current.lab.startFilo(['start', 'job', '--yes'])
    await until(
      'the script to wait',
      async () => (await host().attempt('test', '-e', '/run/job.began')).code === 0,
    )
    await host().exec('systemctl', 'restart', 'filo-agent')
    await untilAgentAnswers(host())
    await host().exec('rm', '/run/job.waits')
    const { code, stdout } = await start.ended
    expect({ code, stdout }).toMatchObject({ code: 0 })
    expect(await states()).toEqual(['running', 'running'])
    expect(await host().exec('cat', '/run/worker.pid')).toBe(worker)
    expect(await host().exec('cat', '/run/job.begins')).toBe('began\n')
  })

  test('a script that hangs is ended with all that it started when its time is up', async () => {
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
    await host().exec('touch', '/run/job.waits')
    const { code, stdout } = await current.lab.filo('start', '--yes')
    expect(code).toBe(2)
    expect(stdout).toContain('start job@one failed')
    expect(await host().exec('systemctl', 'list-units', '--all', '--no-legend', 'filo-job-*.scope')).toBe('')
    await host().exec('rm', '/run/job.waits', killsAll)
    await host().exec('systemctl', 'daemon-reload')
    expect(await current.lab.filo('resume', '--yes')).toMatchObject({ code: 0 })
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
  })

  test('where systemd refuses a scope nothing is run, and an agent that finds it so says so and does without', async () => {
    const program = '/usr/bin/systemd-run'
    await host().sh(`mv ${program} ${program}.away; rm -f /run/job.begins /run/worker.begins`)
    try {
      host().write(program, '#!/bin/sh\necho "Failed to start transient scope unit: no" >&2\nexit 1\n', 0o755)
      const refused = await current.lab.filo('start', '--yes')
      expect(refused.code).toBe(2)
      expect(refused.stdout).toContain('Failed to start transient scope unit: no')
      expect((await host().attempt('ls', '/run/worker.begins')).code).not.toBe(0)
      await host().exec('rm', program)
      await host().exec('systemctl', 'restart', 'filo-agent')
      await untilAgentAnswers(host())
      expect(await host().exec('journalctl', '-u', 'filo-agent', '-o', 'cat', '-n', '20')).toMatch(
        /"why":"systemd-run: cannot be started: .*scripts share the control group of the agent/,
      )
      expect(await current.lab.filo('resume', '--yes')).toMatchObject({ code: 0 })
      const started = await pids()
      await host().exec('systemctl', 'restart', 'filo-agent')
      await untilAgentAnswers(host())
      expect(await states()).toEqual(['running', 'running'])
      expect(await pids()).toBe(started)
    } finally {
      await host().exec('mv', `${program}.away`, program)
    }
    await host().exec('systemctl', 'restart', 'filo-agent')
    await untilAgentAnswers(host())
    expect(await current.lab.filo('stop', '--yes')).toMatchObject({ code: 0 })
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
