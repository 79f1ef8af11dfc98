import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SystemdDefinition } from '@filo/protocol'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { Systemd } from './systemd.ts'
import { describeManager, killDaemon, writeDaemon, type Harness } from './testing.ts'

// Where systemd is PID 1 and we are root: real units, for the length of a test, under names that nobody else has.
// Elsewhere a stand-in for systemctl with real daemons, which keeps to what the real one was seen to do.

const isReal = existsSync('/run/systemd/system') && process.getuid?.() === 0

describeManager(
  isReal ? 'systemd' : 'the systemd adapter with a stand-in for systemctl',
  isReal ? openReal : openStandIn,
  ['plain', 'stubborn', 'slow'],
)

function openReal(): Promise<Harness> {
  const temp = tempDir()
  const prefix = `filo-test-${randomBytes(4).toString('hex')}`
  const names: string[] = []
  const unitOf = (name: string): string => `${prefix}-${name}.service`
  const fileOf = (name: string): string => join('/run/systemd/system', unitOf(name))
  const declare = (name: string, behaviour: Parameters<Harness['declare']>[1]): SystemdDefinition => {
    names.push(name)
    const daemon = writeDaemon(temp.path, name, behaviour)
    writeFileSync(fileOf(name), `[Service]\nExecStart=${daemon}\nTimeoutStopSec=60\n`)
    execFileSync('systemctl', ['daemon-reload'])
    return { kind: 'systemd', unit: unitOf(name) }
  }
  return Promise.resolve({
    manager: new Systemd(),
    dir: temp.path,
    declare,
    undeclared: { kind: 'systemd', unit: unitOf('nonesuch') },
    [Symbol.asyncDispose]() {
      for (const name of names) {
        killDaemon(temp.path, name)
        execFileSync('systemctl', ['stop', unitOf(name)])
        rmSync(fileOf(name))
      }
      execFileSync('systemctl', ['daemon-reload'])
      temp[Symbol.dispose]()
      return Promise.resolve()
    },
  })
}

function openStandIn(): Promise<Harness> {
  const temp = tempDir()
  const names: string[] = []
  const systemctl = join(temp.path, 'systemctl')
  writeFileSync(systemctl, standIn)
  chmodSync(systemctl, 0o755)
  return Promise.resolve({
    manager: new Systemd({ systemctl }),
    dir: temp.path,
    declare(name, behaviour): SystemdDefinition {
      names.push(name)
      writeDaemon(temp.path, name, behaviour)
      return { kind: 'systemd', unit: name }
    },
    undeclared: { kind: 'systemd', unit: 'nonesuch' },
    [Symbol.asyncDispose]() {
      for (const name of names) killDaemon(temp.path, name)
      temp[Symbol.dispose]()
      return Promise.resolve()
    },
  })
}

/** A unit is a daemon's file beside it; a zombie has ended, whether or not its parent has taken note. */
const standIn = `#!/bin/sh
cd "$(dirname "$0")"
alive() { [ -s "$1.pid" ] && grep -q '^State:.[^Z]' "/proc/$(cat "$1.pid")/status" 2>/dev/null; }
show() {
  load=loaded active=inactive sub=dead result=success
  if [ ! -e "$1.daemon" ]; then load=not-found
  elif alive "$1"; then active=active sub=running; [ ! -e "$1.stop" ] || active=deactivating sub=stop-sigterm
  elif [ -e "$1.pid" ] && [ ! -e "$1.stop" ]; then active=failed sub=failed result=signal
  fi
  printf 'Id=%s.service\\nLoadState=%s\\nActiveState=%s\\nSubState=%s\\nResult=%s\\nControlGroup=\\n' "$1" $load $active $sub $result
}
verb=
while [ "$1" != -- ]; do case "$1" in show | start | stop) verb=$1 ;; esac; shift; done
shift
for unit; do
  name=\${unit%.service}
  case $verb in
    show) [ -z "$separate" ] || echo; separate=yes; show "$name"; continue ;;
  esac
  [ -e "$name.daemon" ] || { echo "Failed to $verb $unit: Unit $unit not found." >&2; exit 5; }
  if [ $verb = stop ]; then
    touch "$name.stop"
    if alive "$name"; then kill -TERM "$(cat "$name.pid")"; fi
  elif ! alive "$name"; then
    rm -f "$name.stop" "$name.pid"
    setsid "./$name.daemon" </dev/null >/dev/null 2>&1 &
    until [ -s "$name.pid" ]; do sleep 0.02; done
  fi
done
`
