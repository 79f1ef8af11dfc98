import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { untilAgentAnswers } from './agent-unit.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { LabFleet } from './fleets.ts'
import type { Host } from './host.ts'
import { runOf, statusOf } from './status.ts'

// Hosts with a real systemd that go down and come up again: as a run asks for it, and in the midst of one. What the
// services did stands in files on their hosts, by their own hand.

/** `web` is not enabled: it comes up by a start only. A stop of it takes a second. */
const unit = (name: string): string => `[Unit]
Description=${name}
[Service]
ExecStart=/bin/sleep infinity
ExecStartPost=/bin/sh -c 'echo "$(date +%%s.%%N) ${name} up" >> /var/deeds'
ExecStop=/bin/sleep 1
ExecStopPost=/bin/sh -c 'echo "$(date +%%s.%%N) ${name} down" >> /var/deeds'
[Install]
WantedBy=multi-user.target
`

const fleetFile = `fleet: power
broker: local
hosts: { db: {}, app: {}, web: {} }
services:
  database: { hosts: db, systemd: database.service }
  application: { hosts: app, systemd: application.service, needs: database }
  website: { hosts: web, systemd: website.service, needs: application }
`

const units = { db: 'database', app: 'application', web: 'website' } as const

const fleet: LabFleet = {
  hosts: Object.keys(units).map((name) => ({ name })),
  async prepare(lab) {
    for (const [name, service] of Object.entries(units)) {
      lab.host(name).write(`/etc/systemd/system/${service}.service`, unit(service))
      await lab.host(name).exec('systemctl', 'daemon-reload')
      if (name !== 'web') await lab.host(name).exec('systemctl', 'enable', '--quiet', service)
    }
    await lab.declare(fleetFile)
  },
}

describeInLab('hosts that go down', fleet, (current) => {
  const host = (name: string): Host => current.lab.host(name)

  const bootOf = async (name: string): Promise<string> =>
    (await host(name).exec('cat', '/proc/sys/kernel/random/boot_id')).trim()

  /** Where a test begins: all runs, and nothing has been done yet. */
  const begin = async (): Promise<void> => {
    expect(await current.lab.filo('start', '--yes')).toMatchObject({ code: 0 })
    for (const name of Object.keys(units)) await host(name).sh('rm -f /var/deeds')
  }

  /** What the services of all hosts did, in order. */
  const deeds = async (): Promise<string[]> => {
    const logs = await Promise.all(
      Object.keys(units).map(async (name) => (await host(name).attempt('cat', '/var/deeds')).stdout),
    )
    const lines = logs.join('').split('\n').filter(Boolean)
    return lines.toSorted().map((line) => line.replace(/^\S+ /, ''))
  }

  const aroundApplication = ['website down', 'application down', 'application up', 'website up']

  test('a reboot stops in order what needs the host, and proves in its next boot that all is up again', async () => {
    await begin()
    const before = await bootOf('app')
    const run = await current.lab.filo('reboot', 'app', '--yes')
    expect(run).toMatchObject({ code: 0 })
    expect(await bootOf('app')).not.toBe(before)
    expect(await deeds()).toEqual(aroundApplication)
    const shown = await current.lab.filo('show', runOf(run))
    // It is enabled, and was found to have come up by itself.
    expect(shown.stdout).toMatch(/reboot app +changed/)
    expect(shown.stdout).toMatch(/start application@app +unchanged/)
    expect(shown.stdout).toMatch(/start website@web +changed/)
  })

  test('all three are rebooted, each after what its services need is up again', async () => {
    await begin()
    const before = await Promise.all(Object.keys(units).map(bootOf))
    expect(await current.lab.filo('reboot', '*', '--yes')).toMatchObject({ code: 0 })
    const after = await Promise.all(Object.keys(units).map(bootOf))
    expect(after.filter((boot) => before.includes(boot))).toEqual([])
    expect(await deeds()).toEqual([
      'website down',
      'application down',
      'database down',
      'database up',
      'application up',
      'website up',
    ])
  })

  test('a coordinator that is killed while the host is down carries on with a resume', async () => {
    await begin()
    const before = await bootOf('app')
    {
      await using reboot = current.lab.startFilo(['reboot', 'app', '--yes'])
      await reboot.untilSays(/reboot app {2}(is on its way|begins)/)
    }
    const resumed = await current.lab.filo('resume', '--yes')
    expect(resumed).toMatchObject({ code: 0 })
    expect(await bootOf('app')).not.toBe(before)
    expect(await deeds()).toEqual(aroundApplication)
  })

  test('a host whose service does not come up after the reboot holds what needs it', async () => {
    await begin()
    const broken = '/etc/systemd/system/application.service.d/broken.conf'
    host('app').write(broken, '[Service]\nExecStartPre=/bin/false\n')
    const failed = await current.lab.filo('reboot', 'app', '--yes')
    expect(failed).toMatchObject({ code: 2 })
    expect(failed.stdout).toContain('start application@app failed')
    expect(failed.stdout).toContain('holds start website@web')
    await host('app').sh(`rm ${broken}; systemctl daemon-reload; systemctl reset-failed application`)
    const boot = await bootOf('app')
    expect(await current.lab.filo('resume', runOf(failed), '--yes')).toMatchObject({ code: 0 })
    expect(await bootOf('app')).toBe(boot)
    expect((await deeds()).at(-1)).toBe('website up')
  })

  test('a host that somebody reboots while another stops is said to have rebooted', async () => {
    await begin()
    host('app').write(
      '/etc/systemd/system/application.service.d/slow.conf',
      '[Service]\nExecStop=/bin/sh -c "until [ -e /run/go ]; do sleep 0.1; done"\n',
    )
    await host('app').exec('systemctl', 'daemon-reload')
    await host('web').exec('systemctl', 'enable', '--quiet', 'website')
    await using stop = current.lab.startFilo(['stop', '--yes'])
    await stop.untilSays(/stop application@app {2}begins/)
    await host('web').reboot()
    await stop.untilSays(/web {2}has rebooted during the run/)
    await stop.untilSays(/stop website@web {2}drifted: .*web has rebooted since/)
    await host('app').sh('touch /run/go')
    const ended = await stop.ended
    expect(ended).toMatchObject({ code: 2 })
    expect((await host('db').attempt('systemctl', 'is-active', 'database')).stdout).toBe('active\n')
    expect(await current.lab.filo('resume', runOf(ended), '--yes')).toMatchObject({ code: 0 })
    const told = (await current.lab.filo('show', runOf(ended))).stdout
    expect(await deeds(), told).toEqual([
      'website down',
      'website up', // With its host.
      'application down',
      'website down',
      'database down',
    ])
    await host('app').sh('rm -r /etc/systemd/system/application.service.d; systemctl daemon-reload')
    await host('web').exec('systemctl', 'disable', '--quiet', 'website')
  })

  test('a host that is halted is gone, and what ran there is started again when somebody has switched it on', async () => {
    await begin()
    const halt = await current.lab.filo('halt', 'web', '--yes')
    expect(halt).toMatchObject({ code: 0 })
    await host('web').untilOff()
    const status = await statusOf(current.lab)
    expect(status.get('website@web')).toMatchObject({ state: 'unknown' })
    expect(status.get('website@web')!.detail).toMatch(/^halted since /)
    expect(await current.lab.filo('undo', runOf(halt), '--yes')).toMatchObject({ code: 65 })
    await host('web').boot()
    await untilAgentAnswers(host('web'))
    expect(await current.lab.filo('undo', runOf(halt), '--yes')).toMatchObject({ code: 0 })
    await until('the website to be up', async () => (await deeds()).at(-1) === 'website up')
  })

  test('a host that crashes in its reboot and stays off is unknown, and the run carries on once it is on', async () => {
    await current.lab.declare(fleetFile.replace('app: {}', 'app: { reboot_timeout: 5s }'))
    await begin()
    await using reboot = current.lab.startFilo(['reboot', 'app', '--yes', '--patience', '2s'])
    await reboot.untilSays(/reboot app {2}begins/)
    await host('app').crash()
    const ended = await reboot.ended
    expect(ended).toMatchObject({ code: 3 })
    expect(ended.stdout).toContain('reboot app is unknown')
    await host('app').boot()
    await untilAgentAnswers(host('app'))
    expect(await current.lab.filo('resume', runOf(ended), '--yes')).toMatchObject({ code: 0 })
    expect((await deeds()).at(-1)).toBe('website up')
  })
})
