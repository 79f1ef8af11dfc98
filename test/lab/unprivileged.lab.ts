import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { Host } from './host.ts'
import { statusOf } from './status.ts'
import { unprivileged } from './unprivileged.ts'

// An agent that is not root, as docs/security.md has it set up: a user of its own, the drop-in of the example, and the
// rules that `filo agent-config HOST --sudoers` writes.

describeInLab('an agent that is not root', unprivileged, (current) => {
  const host = (): Host => current.lab.host('one')
  const filo = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await current.lab.filo(...args)
    return { code, said: `${stdout}\n${stderr}` }
  }
  const states = async (): Promise<unknown> =>
    Object.fromEntries([...(await statusOf(current.lab))].map(([name, { state }]) => [name, state]))
  const all = (state: string) =>
    Object.fromEntries(['unit', 'script', 'job', 'supervised'].map((name) => [`${name}@one`, state]))

  test('starts and stops, by the rules written for it, services of systemd, of scripts, of commands and of daemontools, which run as root', async () => {
    const process = await host().exec('systemctl', 'show', '--value', '-p', 'MainPID', 'filo-agent')
    expect(await host().exec('ps', '-o', 'user=', '-p', process.trim())).toBe('filo\n')
    expect(await filo('start', '--yes')).toMatchObject({ code: 0 })
    expect(await states()).toEqual(all('running'))
    const pids = await host().sh('cat /run/script.pid /run/job.pid')
    expect(await host().exec('ps', '-o', 'user=', '-p', pids.trim().replaceAll('\n', ','))).toBe(
      'root\nroot\n',
    )
    expect(await host().exec('cat', '/run/job.hook')).toBe('root\n')
    const groups = await host().sh(
      'for p in $(cat /run/script.pid /run/job.pid); do grep ^0:: /proc/$p/cgroup; done',
    )
    expect(groups).toMatch(/^(0::\/system\.slice\/run-\w+\.scope\n){2}$/)
    expect(await filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(await states()).toEqual(all('stopped'))
  })

  test('may run as root nothing but that', async () => {
    const asFilo = (command: string) =>
      host().attempt('setpriv', '--reuid=filo', '--regid=filo', '--clear-groups', 'sh', '-c', command)
    const allowed = 'sudo -n -- timeout --signal=KILL 8 /opt/init.d/script status'
    expect([0, 3]).toContain((await asFilo(allowed)).code)
    for (const refused of [
      'sudo -n -- /opt/init.d/script status',
      'sudo -n -- timeout --signal=KILL 8 /opt/init.d/script restart',
      'sudo -n -- timeout --signal=KILL 8 /opt/init.d/script status more',
      'sudo -n -- timeout --kill-after=1 30 systemctl --no-ask-password --no-block --job-mode=fail stop -- ssh.service',
      'sudo -n -- sh',
      'PATH=/tmp:$PATH sudo -n PATH=/tmp -- timeout --signal=KILL 8 /opt/init.d/script status',
    ]) {
      const { code, stderr } = await asFilo(refused)
      expect({ refused, code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('sudo: ') as string,
      })
    }
  })

  test('a stop that hangs is overdue until root has ended it, all of it, and what needs it is held', async () => {
    expect(await filo('start', '--yes')).toMatchObject({ code: 0 })
    await host().exec('touch', '/run/job.waits')
    const { code, said } = await filo('stop', 'job', '--yes')
    expect(code).toBe(2)
    expect(said).toContain('stop job@one failed')
    await until(
      'nothing of the script to live',
      async () => (await host().attempt('pgrep', '-f', '[j]ob stop')).code !== 0,
    )
    await host().exec('rm', '/run/job.waits')
    expect(await filo('resume', '--yes')).toMatchObject({ code: 0 })
    expect(await filo('stop', '--yes')).toMatchObject({ code: 0 })
  })

  test('what sudo does not allow keeps the whole run from beginning, and is told by the check, the log and the doctor', async () => {
    await host().sh(
      'sed -i /FILO_JOB,/s/FILO_JOB,// /etc/sudoers.d/filo-agent && visudo -cf /etc/sudoers.d/filo-agent',
    )
    const refused = await filo('start', '--yes')
    expect(refused.code).toBe(77)
    expect(refused.said).toMatch(
      /sudo does not let the agent run systemd-run .*--description=filo-job -- timeout .* \/opt\/init.d\/job start/,
    )
    expect(await states()).toEqual(all('stopped'))
    const check = await host().attempt('filo-agent', '--check')
    expect(check).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('sudo does not let the agent run') as string,
    })
    await host().exec('systemctl', 'restart', 'filo-agent')
    await untilAgentAnswers(host())
    const doctor = await filo('doctor')
    expect(doctor.said).toMatch(/the agent of one lacks rights: sudo does not let the agent run/)
    await host().exec('install', '-m', '440', '/etc/filo/sudoers', '/etc/sudoers.d/filo-agent')
    expect((await host().attempt('filo-agent', '--check')).code).toBe(0)
    expect((await filo('doctor')).said).not.toContain('lacks rights')
    expect(await filo('resume', '--yes')).toMatchObject({ code: 0 })
    expect(await states()).toEqual(all('running'))
  })

  test('a restart of the agent touches no service that it started by sudo', async () => {
    const before = await host().sh('cat /run/script.pid /run/job.pid')
    await host().exec('systemctl', 'restart', 'filo-agent')
    await untilAgentAnswers(host())
    expect(await states()).toEqual(all('running'))
    expect(await host().sh('cat /run/script.pid /run/job.pid')).toBe(before)
  })

  test('reboots its host by sudo', async () => {
    const result = await filo('reboot', 'one', '--yes')
    expect(result).toMatchObject({ code: 0 })
    expect(await states()).toEqual(all('running'))
  })
})
