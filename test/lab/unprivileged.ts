import type { LabFleet } from './fleets.ts'
import type { Layer } from './image.ts'

// A host whose agent is not root, with a service of each manager that takes root.

const layer: Layer = {
  name: 'unprivileged',
  packages: ['sudo', 'daemontools'],
  after: 'useradd --system --home-dir /var/lib/filo-agent --shell /usr/sbin/nologin filo',
}

/** A daemon of its own session, and a pid file. Its stop waits while it is told to, whatever it is sent. */
const script = `#!/bin/sh
name=$(basename "$0")
pid=$(cat "/run/$name.pid" 2>/dev/null)
live() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
case $1 in
start) live || { setsid sleep infinity & echo $! > "/run/$name.pid"; } ;;
stop)
  [ -e "/run/$name.waits" ] && trap '' TERM
  while [ -e "/run/$name.waits" ]; do sleep 0.1; done
  live && kill "$pid"; rm -f "/run/$name.pid"
  ;;
status) live && exit 0; exit 3 ;;
note) id -un > "/run/$name.hook" ;;
esac
`

const fleetFile = `fleet: unprivileged
broker: local
hosts: { one: { agent_user: filo } }
services:
  unit: { hosts: one, systemd: unit.service }
  supervised: { hosts: one, daemontools: /srv/service/supervised }
  script: { hosts: one, needs: unit, lsb: { name: script, dir: /opt/init.d } }
  job:
    hosts: one
    needs: [script, supervised]
    stop_timeout: 5s
    command: { start: [/opt/init.d/job, start], stop: [/opt/init.d/job, stop], status: [/opt/init.d/job, status] }
    hooks: { after_start: { run: [/opt/init.d/job, note] } }
`

const unitFile = (start: string): string =>
  `[Service]\nExecStart=${start}\n[Install]\nWantedBy=multi-user.target\n`

export const unprivileged: LabFleet = {
  hosts: [{ name: 'one', layer }],
  async furnish(lab) {
    const host = lab.host('one')
    for (const name of ['script', 'job']) host.write(`/opt/init.d/${name}`, script, 0o755)
    host.write('/srv/service/supervised/run', '#!/bin/sh\nexec sleep infinity\n', 0o755)
    host.write('/srv/service/supervised/down', '')
    host.write('/etc/systemd/system/unit.service', unitFile('/bin/sleep infinity'))
    host.write('/etc/systemd/system/svscan.service', unitFile('/usr/bin/svscan /srv/service'))
    await host.change('systemctl --quiet enable svscan')
  },
  prepare: (lab) => lab.declare(fleetFile),
}
