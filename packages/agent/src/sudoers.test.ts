import { HostDefinition, type ManagerDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import { createManagers } from './managers/all.ts'
import type { Manager } from './managers/manager.ts'
import { lookTimeoutMs } from './observer.ts'
import { probeReady } from './probe.ts'
import { sudoCommands } from './root-commands.ts'
import { boundedLook, boundedRequest, direct, type Runner } from './runner.ts'
import { scopeBySudo } from './scope.ts'
import { sudoersFor, UnfitForSudo } from './sudoers.ts'

const bounds = { startTimeoutMs: 90_000, stopTimeoutMs: 180_000, settleMs: 0 }

function serviceOf(service: string, manager: ManagerDefinition) {
  return { service, manager, ...bounds }
}

function hostWith(part: Partial<HostDefinition>): HostDefinition {
  return HostDefinition.parse({ fleet: 'lists', host: 'mail1', services: [], hooks: [], ...part })
}

test('the rules of a host name each command with all its arguments, and looks are not logged', () => {
  const host = hostWith({
    services: [
      serviceOf('sympa', { kind: 'systemd', unit: 'sympa.service' }),
      serviceOf('mta', { kind: 'lsb', name: 'postfix', dir: '/etc/init.d' }),
      serviceOf('httpd', { kind: 'daemontools', service: '/service/hvmail-httpd' }),
    ],
    hooks: [{ service: 'mta', at: 'after_start', run: ['/usr/local/bin/test-send'], timeoutMs: 30_000 }],
    power: {
      reboot: ['/sbin/reboot'],
      halt: ['/bin/systemctl', 'poweroff'],
      rebootTimeoutMs: 600_000,
      haltTimeoutMs: 300_000,
    },
  })
  expect(sudoersFor(host, 'filo')).toMatchInlineSnapshot(`
    "# What the agent of mail1 in the fleet lists may run as root.
    # Written by: filo agent-config mail1 --sudoers

    # A command takes the place of its sudo: no terminal, no session, no process between it and the agent.
    Defaults:filo !requiretty, !use_pty, !pam_session, !pam_setcred
    Defaults:filo env_reset, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    Cmnd_Alias FILO_SYMPA = \\
        /usr/bin/timeout --kill-after\\=1 30 systemctl --no-ask-password --no-block --job-mode\\=fail start -- sympa.service, \\
        /usr/bin/timeout --kill-after\\=1 30 systemctl --no-ask-password --no-block --job-mode\\=fail stop -- sympa.service

    Cmnd_Alias FILO_MTA = \\
        /usr/bin/timeout --kill-after\\=1 30 systemctl --no-ask-password --no-block --job-mode\\=fail start -- postfix.service, \\
        /usr/bin/timeout --kill-after\\=1 30 systemctl --no-ask-password --no-block --job-mode\\=fail stop -- postfix.service, \\
        /usr/bin/timeout --kill-after\\=1 91 /etc/init.d/postfix start, \\
        /usr/bin/timeout --kill-after\\=1 181 /etc/init.d/postfix stop

    Cmnd_Alias FILO_HTTPD = \\
        /usr/bin/timeout --kill-after\\=1 30 svc -u /service/hvmail-httpd, \\
        /usr/bin/timeout --kill-after\\=1 30 svc -d /service/hvmail-httpd

    Cmnd_Alias FILO_MTA_AFTER_START = \\
        /usr/bin/systemd-run --scope --quiet --no-ask-password --collect --slice\\=system.slice --description\\=filo-mta -- timeout --kill-after\\=1 31 /usr/local/bin/test-send, \\
        /usr/bin/timeout --kill-after\\=1 31 /usr/local/bin/test-send

    Cmnd_Alias FILO_POWER = \\
        /sbin/reboot "", \\
        /bin/systemctl poweroff

    Cmnd_Alias FILO_LOOKS = \\
        /usr/bin/timeout --signal\\=KILL 5 systemd-run --scope --quiet --no-ask-password --collect --slice\\=system.slice --description\\=filo-trial -- true, \\
        /usr/bin/timeout --signal\\=KILL 4 svstat /service/hvmail-httpd, \\
        /usr/bin/timeout --signal\\=KILL 8 /etc/init.d/postfix status

    # Looks are not logged.
    Defaults!FILO_LOOKS !syslog

    filo ALL=(root) NOPASSWD: FILO_SYMPA, FILO_MTA, FILO_HTTPD, FILO_MTA_AFTER_START, FILO_POWER, FILO_LOOKS
    "
  `)
})

test('what a manager runs as root is what its rules name', async () => {
  const ran = new Set<string>()
  const script = ['/usr/local/bin/web']
  const manager: Record<string, ManagerDefinition> = {
    systemd: { kind: 'systemd', unit: 'a.service' },
    lsb: { kind: 'lsb', name: 'true', dir: '/bin' },
    command: { kind: 'command', start: [...script, 'up'], stop: [...script, 'down'], status: script },
    daemontools: { kind: 'daemontools', service: '/service/a' },
    canopsis: { kind: 'canopsis', name: 'true', dir: '/bin', socket: '/nowhere', together: false },
    postgres: {
      kind: 'greenarrow',
      part: 'postgres',
      postgresManager: '/var/hvmail/bin/hvmail_postgres_manager',
      hvmailInit: '/var/hvmail/bin/hvmail_init',
      component: 'hvmail-postgres',
    },
  }
  const looked = { exit: { kind: 'exited', code: 0 }, stdout: '', stderr: '' } as const
  const acted = {
    exit: { kind: 'exited', code: 0 },
    output: { head: '', tail: '', droppedBytes: 0 },
    durationMs: 0,
  } as const
  const note = (argv: readonly string[]): void => void ran.add(JSON.stringify(argv))
  const runner: Runner = {
    isBySudo: true,
    look: async (argv, { timeoutMs }) => {
      note(boundedLook(argv, timeoutMs))
      return looked
    },
    request: async (argv) => {
      note(boundedRequest(argv))
      return acted
    },
    act: async (argv) => {
      note(argv)
      return acted
    },
  }
  const host = hostWith({
    services: Object.entries(manager).map(([name, definition]) => ({
      ...serviceOf(name, definition),
      ready: { command: ['/bin/ready', name] },
    })),
  })
  const signal = AbortSignal.timeout(20_000)
  for (const isSystemd of [true, false]) {
    const managers = createManagers(runner, isSystemd)
    for (const { service, manager: definition, ready, startTimeoutMs, stopTimeoutMs } of host.services) {
      const its = managers[definition.kind] as Manager
      const actFor = (timeoutMs: number) => ({
        signal,
        onLine: () => {},
        onProcess: () => {},
        outputFile: '',
        redactor: undefined as never,
        scope: scopeBySudo(service, timeoutMs),
      })
      if (definition.kind !== 'systemd') await its.observe([definition], signal)
      await its.start(definition, actFor(startTimeoutMs))
      await its.stop(definition, actFor(stopTimeoutMs))
      await probeReady(ready!, signal, lookTimeoutMs, runner)
    }
  }
  const named = [true, false].flatMap((isSystemd) =>
    sudoCommands(host, createManagers(direct, isSystemd), true).map(({ argv }) => JSON.stringify(argv)),
  )
  expect([...ran].filter((argv) => !named.includes(argv))).toEqual([])
  expect(ran.size).toBeGreaterThan(20)
})

test('a command without arguments is allowed with none, and what is special to sudo is itself', () => {
  const power = { rebootTimeoutMs: 1000, haltTimeoutMs: 1000 }
  const rules = sudoersFor(
    hostWith({
      power: {
        ...power,
        reboot: ['/sbin/reboot'],
        halt: ['/opt/x', '-o', 'a=b,c:d', '*', '\\', '^[!a]$', '#'],
      },
    }),
    'filo',
  )
  expect(rules).toContain('/sbin/reboot "",')
  expect(rules).toContain(String.raw`/opt/x -o a\=b\,c\:d \* \\\\ \^\[\!a\]$ \#` + '\n')
})

test('an argument with a space in it has no rule: sudo could not tell it from two', () => {
  const run = ['/bin/sh', '-c', 'a b']
  const host = hostWith({ hooks: [{ service: 'a', at: 'before_stop', run, timeoutMs: 1000 }] })
  expect(() => sudoersFor(host, 'filo')).toThrow(UnfitForSudo)
})

test('services whose names differ in what an alias cannot hold have aliases of their own', () => {
  const unit = (name: string) => serviceOf(name, { kind: 'systemd', unit: `${name}.service` })
  const rules = sudoersFor(hostWith({ services: [unit('a-b'), unit('a.b'), unit('a_b')] }), 'filo')
  expect(rules).toMatch(/NOPASSWD: FILO_A_B, FILO_A_B__2, FILO_A_B__3, FILO_LOOKS\n$/)
})
