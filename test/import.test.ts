import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { filo } from './support/filo.ts'
import { tempDir } from './support/temp-dir.ts'

// `filo import`, as it is typed: what it writes is a fleet file that Filo accepts, or nothing.

/** A home as Canopsis has it. */
function openHome() {
  const dir = tempDir()
  onTestFinished(() => dir[Symbol.dispose]())
  const write = (name: string, text: string): void => writeFileSync(join(dir.path, name), text)
  mkdirSync(join(dir.path, 'etc/supervisord.d'), { recursive: true })
  write(
    'etc/hypcontrol.conf',
    'BACKEND=(rabbitmq-server mongodb)\nMIDDLEWARE=(collectd amqp2engines)\nFRONTEND=(webserver)\n',
  )
  write(
    'etc/supervisord.conf',
    '[unix_http_server]\nfile=%(here)s/s.sock\n[include]\nfiles=supervisord.d/*.conf\n',
  )
  write(
    'etc/supervisord.d/engines.conf',
    '[program:alert]\n[group:amqp2engines]\nprograms=alert\npriority=20\n',
  )
  write('etc/supervisord.d/webserver.conf', '[program:webserver]\npriority=30\n')
  const run = (...args: string[]) => filo(['import', ...args], { cwd: dir.path })
  return { path: dir.path, write, run }
}

test('hypcontrol.conf becomes three stages whose services are found as `service` finds them', async () => {
  const home = openHome()
  const { code, stdout } = await home.run('hypcontrol', 'etc/hypcontrol.conf')
  expect(code).toBe(0)
  expect(stdout.replaceAll(home.path, '/home/canopsis')).toMatchInlineSnapshot(`
    "# Read from etc/hypcontrol.conf. A service is an LSB script in /home/canopsis/etc/init.d, or else a program or
    # group of supervisord; with "together: true" a group starts and stops all at once, as by mstart and mstop.
    # "carries: broker" keeps Filo from stopping the RabbitMQ that it speaks through; take it out where that is another.

    fleet: canopsis
    # Every host is this machine. With an amqps:// URL here the hosts are real.
    broker: local
    hosts:
      localhost:
    services:
      rabbitmq-server:
        hosts: localhost
        canopsis: { name: rabbitmq-server, dir: /home/canopsis/etc/init.d, socket: /home/canopsis/etc/s.sock }
        carries: broker
      mongodb:
        hosts: localhost
        canopsis: { name: mongodb, dir: /home/canopsis/etc/init.d, socket: /home/canopsis/etc/s.sock }
      collectd:
        hosts: localhost
        canopsis: { name: collectd, dir: /home/canopsis/etc/init.d, socket: /home/canopsis/etc/s.sock }
      amqp2engines:
        hosts: localhost
        canopsis: { name: amqp2engines, dir: /home/canopsis/etc/init.d, socket: /home/canopsis/etc/s.sock }
      webserver:
        hosts: localhost
        canopsis: { name: webserver, dir: /home/canopsis/etc/init.d, socket: /home/canopsis/etc/s.sock }
    stages:
      - backend: [ rabbitmq-server, mongodb ]
      - middleware: [ collectd, amqp2engines ]
      - frontend: webserver
    "
  `)
})

test('the stages may be on several hosts', async () => {
  const home = openHome()
  const hosts = ['--host', 'app1', '--host', 'backend=db1', '--host', 'backend=db2']
  const written = await home.run('hypcontrol', 'etc/hypcontrol.conf', ...hosts, '-o', 'filo.yaml')
  expect(written).toMatchObject({ code: 0 })
  expect(await filo(['validate'], { cwd: home.path })).toMatchObject({
    code: 0,
    stdout: 'filo.yaml: fleet canopsis: 3 hosts, 5 services, 7 instances\n',
  })
  const text = readFileSync(join(home.path, 'filo.yaml'), 'utf8')
  expect(text).toContain('hosts: [ db1, db2 ]')
  // Not written over: its owner may have gone on with it.
  const again = await home.run('hypcontrol', 'etc/hypcontrol.conf', '-o', 'filo.yaml')
  expect(again).toMatchObject({ code: 64 })
  expect(readFileSync(join(home.path, 'filo.yaml'), 'utf8')).toBe(text)
  expect(await home.run('hypcontrol', 'etc/hypcontrol.conf', '--host', 'front=w1')).toMatchObject({
    code: 64,
    stderr:
      'filo: --host front=w1: there is no stage "front"; the stages are backend, middleware, frontend\n',
  })
})

test('what only a shell could understand is refused with its line, and nothing is written', async () => {
  const home = openHome()
  home.write('etc/hypcontrol.conf', `BACKEND=(mongodb)\nMIDDLEWARE=($(touch ${home.path}/ran))\n`)
  const { code, stdout, stderr } = await home.run('hypcontrol', 'etc/hypcontrol.conf')
  expect({ code, stdout }).toEqual({ code: 65, stdout: '' })
  expect(stderr).toContain('etc/hypcontrol.conf:2:13: expected the plain name of a service')
  expect(() => readFileSync(join(home.path, 'ran'))).toThrow('ENOENT')
})

test('a supervisord that cannot be found is asked for', async () => {
  const home = openHome()
  home.write('etc/supervisord.conf', '[supervisord]\n')
  const { code, stderr } = await home.run('hypcontrol', 'etc/hypcontrol.conf')
  expect(code).toBe(65)
  expect(stderr).toContain('--socket')
  const named = await home.run('hypcontrol', 'etc/hypcontrol.conf', '--socket', '/run/s.sock')
  expect(named.stdout).toContain('socket: /run/s.sock')
})

test('supervisord.conf becomes stages by priority, with what it includes', async () => {
  const home = openHome()
  const { code, stdout } = await home.run('supervisord', 'etc/supervisord.conf', '--host', 'app1')
  expect(code).toBe(0)
  expect(stdout.replaceAll(home.path, '/home/canopsis')).toMatchInlineSnapshot(`
    "# Read from etc/supervisord.conf. What has a lower priority starts first and stops last.

    fleet: supervisord
    # Every host is this machine. With an amqps:// URL here the hosts are real.
    broker: local
    hosts:
      app1:
    services:
      amqp2engines:
        hosts: app1
        supervisord: { group: amqp2engines, socket: /home/canopsis/etc/s.sock }
      webserver:
        hosts: app1
        supervisord: { program: webserver, socket: /home/canopsis/etc/s.sock }
    stages:
      - priority20: amqp2engines
      - priority30: webserver
    "
  `)
  home.write('etc/supervisord.d/broken.conf', '[program:x]\npriority=soon\n')
  expect(await home.run('supervisord', 'etc/supervisord.conf')).toMatchObject({
    code: 65,
    stderr: 'filo: etc/supervisord.d/broken.conf:2:1: expected a whole number; found "soon"\n',
  })
})
