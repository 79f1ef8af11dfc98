import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { describeInLab } from './describe-in-lab.ts'
import type { LabFleet } from './fleets.ts'
import { checkoutOnHosts, type Host } from './host.ts'
import type { Lab } from './lab.ts'
import { runOf, statusOf, type Row } from './status.ts'
import { database } from './sympa/layers.ts'

// The systemd manager against the real one, through an agent that is a unit itself. Each test has units of its own.

/** The units of the tests: what stands in their [Service] and in sections before it. */
const units: Readonly<Record<string, string>> = {
  plain: '[Service]\nExecStart=/bin/sleep infinity\n',
  idle: '[Service]\nExecStart=/bin/sleep infinity\n',
  broken: '[Service]\nExecStart=/bin/sh -c "exit 7"\n',
  flapping: '[Service]\nExecStart=/bin/sh -c "exit 7"\nRestart=always\nRestartSec=1h\n',
  masked: '',
  echo: '[Unit]\nRequires=echo.socket\n[Service]\nExecStart=/bin/cat\nStandardInput=socket\n',
  gate: '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "until [ -e /run/open ]; do sleep 0.1; done"\n',
  'gate-of-later':
    '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "until [ -e /run/open-later ]; do sleep 0.1; done"\n',
  later:
    '[Unit]\nAfter=gate-of-later.service\nWants=gate-of-later.service\n[Service]\nExecStart=/bin/sleep infinity\n',
  queued: '[Unit]\nAfter=gate.service\nWants=gate.service\n[Service]\nExecStart=/bin/sleep infinity\n',
  stubborn:
    '[Service]\nExecStart=/bin/sh -c "trap : TERM; while :; do sleep 0.1; done"\nTimeoutStopSec=infinity\n',
  reborn: '[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\n',
}

const services = [...Object.keys(units), 'missing', 'postgresql'].map((name) => {
  const quick = ['stubborn', 'queued'].includes(name) ? ', stop_timeout: 2s' : ''
  return `  ${name}: { hosts: one, systemd: ${name}.service, settle: 0s${quick} }`
})

const fleetFile = `fleet: units
broker: local
hosts: { one: {} }
services:
${services.join('\n')}
`

const fleet: LabFleet = {
  hosts: [{ name: 'one', layer: database }],
  async prepare(lab) {
    const host = lab.host('one')
    for (const [name, text] of Object.entries(units)) {
      if (text !== '') host.write(`/etc/systemd/system/${name}.service`, text)
    }
    host.write('/etc/systemd/system/echo.socket', '[Socket]\nListenStream=7000\nAccept=no\n')
    host.link('/etc/systemd/system/masked.service', '/dev/null')
    await host.exec('systemctl', 'daemon-reload')
    await host.exec('systemctl', 'start', '--no-block', 'plain', 'broken', 'flapping', 'reborn', 'stubborn')
    await lab.declare(fleetFile)
  },
}

/** The agent's sight of one service, once it is what is expected. */
async function seen(lab: Lab, service: string, expected: Partial<Row>): Promise<Row> {
  let row: Row | undefined
  await until(
    `${service} to be seen as ${JSON.stringify(expected)}`,
    async () => {
      row = (await statusOf(lab)).get(`${service}@one`)
      const current = row
      return Object.entries(expected).every(([key, value]) => current?.[key as keyof Row] === value)
    },
    { timeoutMs: 20_000 },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; last seen: ${JSON.stringify(row)}`)
  })
  return row!
}

async function mainPid(host: Host, unit: string): Promise<number> {
  return Number(await host.exec('systemctl', 'show', '--value', '-p', 'MainPID', unit))
}

describeInLab('the systemd manager on a real host', fleet, (current) => {
  const host = (): Host => current.lab.host('one')

  test('it keeps the contract of managers', async () => {
    const vitest = `${checkoutOnHosts}/node_modules/.bin/vitest run --project contract --configLoader native`
    const file = 'packages/agent/src/managers/systemd-units.contract.test.ts'
    const printed = await host().sh(
      `cd ${checkoutOnHosts}; PATH=$PWD/node_modules/.bin:$PATH NO_COLOR=1 ${vitest} --reporter verbose ${file}`,
      { timeoutMs: 120_000 },
    )
    expect(printed).toContain('the contract of managers, kept by systemd >')
    expect(printed).not.toContain('stand-in')
  })

  test.each<[string, Partial<Row>]>([
    ['plain', { state: 'running', live: 'yes', detail: 'active (running)' }],
    ['idle', { state: 'stopped', live: 'no', detail: 'inactive (dead)' }],
    ['broken', { state: 'failed', live: 'no', detail: 'failed (failed); result exit-code 7' }],
    ['flapping', { state: 'starting', live: 'yes' }],
    ['masked', { state: 'missing', live: 'unknown' }],
    ['missing', { state: 'missing', live: 'unknown' }],
  ])('a unit that is %s is seen as what it is', async (name, expected) => {
    await seen(current.lab, name, expected)
  })

  test('a unit that waits for its next automatic start is stopped for good', async () => {
    expect(await current.lab.filo('stop', 'flapping', '--yes')).toMatchObject({ code: 0 })
    await seen(current.lab, 'flapping', { live: 'no' })
    expect((await host().attempt('systemctl', 'is-active', 'flapping')).stdout.trim()).not.toBe('activating')
  })

  test('a start of a unit that is masked or missing fails, and says which', async () => {
    for (const name of ['masked', 'missing']) {
      const { code, stdout, stderr } = await current.lab.filo('start', name, '--yes')
      expect(code).not.toBe(0)
      expect(stdout + stderr).toContain(`${name}.service is missing on this host`)
    }
  })

  test('a stopped unit that its socket would start again is warned of, and starts again', async () => {
    await host().exec('systemctl', 'start', 'echo.socket')
    const row = await seen(current.lab, 'echo', { state: 'stopped', live: 'no' })
    expect(row.warnings?.join()).toContain('echo.socket would start it again')
    await host().sh('nc -q 1 -w 1 127.0.0.1 7000 < /dev/null || true')
    await until('the socket to have started it', async () => {
      const started = await host().exec('systemctl', 'show', '--value', '-p', 'ActiveEnterTimestamp', 'echo')
      return started.trim() !== ''
    })
    await host().exec('systemctl', 'stop', 'echo.socket', 'echo.service')
  })

  test('a dummy is recognised, the real unit named, and its stop waits for the real one', async () => {
    const row = await seen(current.lab, 'postgresql', { state: 'running' })
    expect(row.warnings?.join()).toContain('declare postgresql@15-main.service instead')
    host().write(
      '/etc/systemd/system/postgresql@15-main.service.d/slow.conf',
      '[Service]\nExecStop=\nExecStop=/bin/sleep 2\nExecStop=/usr/bin/pg_ctlcluster --skip-systemctl-redirect -m fast %i stop\n',
    )
    await host().exec('systemctl', 'daemon-reload')
    expect(await current.lab.filo('stop', 'postgresql', '--yes')).toMatchObject({ code: 0 })
    expect((await host().attempt('systemctl', 'is-active', 'postgresql@15-main')).stdout.trim()).toBe(
      'inactive',
    )
    expect((await host().attempt('pgrep', '-x', 'postgres')).stdout).toBe('')
  })

  test('a job that an administrator has queued is waited for, and what was asked is done after it', async () => {
    await host().exec('systemctl', 'start', '--no-block', 'later')
    await seen(current.lab, 'later', { state: 'starting', live: 'yes' })
    await using stop = current.lab.startFilo(['stop', 'later', '--yes'])
    await stop.untilSays(/waiting for another job to end/)
    expect(await host().exec('systemctl', 'list-jobs')).toMatch(/later\.service\s+start\s+waiting/)
    await host().exec('touch', '/run/open-later')
    expect(await stop.ended).toMatchObject({ code: 0 })
    await seen(current.lab, 'later', { state: 'stopped', live: 'no' })
  })

  test('a job that an administrator has queued is never replaced, however long it takes', async () => {
    await host().exec('systemctl', 'start', '--no-block', 'queued')
    const row = await seen(current.lab, 'queued', { state: 'starting', live: 'yes' })
    expect(row.detail).toMatch(/job \d+ queued: start/)
    await using stop = current.lab.startFilo(['stop', 'queued', '--yes'])
    await stop.untilSays(/unknown: .*systemctl list-jobs/)
    expect(await host().exec('systemctl', 'list-jobs')).toMatch(/queued\.service\s+start\s+waiting/)
    await host().exec('touch', '/run/open')
    const ended = await stop.ended
    expect(ended).toMatchObject({ code: 2 })
    await seen(current.lab, 'queued', { state: 'running' })
    expect(await current.lab.filo('resume', runOf(ended), '--yes')).toMatchObject({ code: 0 })
  })

  test('a unit that ignores SIGTERM is not stopped while it lives, and its process is named', async () => {
    const pid = await mainPid(host(), 'stubborn')
    await using stop = current.lab.startFilo(['stop', 'stubborn', '--yes'])
    await stop.untilSays(new RegExp(`unknown: .*held by ${pid} \\(/bin/sh`))
    expect(await mainPid(host(), 'stubborn')).toBe(pid)
    await seen(current.lab, 'stubborn', { state: 'stopping', live: 'yes' })
    await host().exec('kill', '-KILL', String(pid))
    expect(await stop.ended).toMatchObject({ code: 0 })
    await seen(current.lab, 'stubborn', { live: 'no' })
  })

  test('a unit that systemd revives after a kill from outside is running again, and a stop keeps it down', async () => {
    const before = await mainPid(host(), 'reborn')
    await host().exec('kill', '-KILL', String(before))
    await until('systemd to start it again', async () => {
      const pid = await mainPid(host(), 'reborn')
      return pid !== 0 && pid !== before
    })
    await seen(current.lab, 'reborn', { state: 'running' })
    const pid = await mainPid(host(), 'reborn')
    await host().exec('kill', '-KILL', String(pid))
    expect(await current.lab.filo('stop', 'reborn', '--yes')).toMatchObject({ code: 0 })
    await seen(current.lab, 'reborn', { live: 'no' })
  })
})
