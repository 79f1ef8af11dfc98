import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { killDaemon, writeDaemon, type Behaviour } from '../../packages/agent/src/managers/testing.ts'
import { requireProgram } from './packages.ts'
import { tempDir } from './temp-dir.ts'

/** Real init scripts with real daemons, in a directory of a test's own. */
export interface Scripts extends AsyncDisposable {
  readonly dir: string
  /** Writes an init script as Debian's look, and gives its path. */
  write(name: string, behaviour: Behaviour): string
}

export async function openScripts(): Promise<Scripts> {
  const startStopDaemon = await requireProgram('start-stop-daemon', 'dpkg')
  const temp = tempDir()
  const names: string[] = []
  return {
    dir: temp.path,
    write(name, behaviour) {
      names.push(name)
      writeDaemon(temp.path, name, behaviour)
      const path = join(temp.path, name)
      writeFileSync(path, initScript(startStopDaemon, path, behaviour))
      chmodSync(path, 0o755)
      return path
    },
    [Symbol.asyncDispose]() {
      for (const name of names) killDaemon(temp.path, name)
      temp[Symbol.dispose]()
      return Promise.resolve()
    },
  }
}

function initScript(startStopDaemon: string, path: string, behaviour: Behaviour): string {
  const stop =
    behaviour === 'lying'
      ? 'echo "Stopping."; exit 0'
      : `
    echo "Stopping."
    alive || { rm -f ${path}.pid; exit 0; }
    kill -TERM "$(cat ${path}.pid)"
    while alive; do sleep 0.05; done
    rm -f ${path}.pid`
  return `#!/bin/sh
DAEMON=${path}.daemon
alive() { ${startStopDaemon} --status --pidfile ${path}.pid; }
case "$1" in
  start)
    echo "Starting."
    alive && exit 0
    ${startStopDaemon} --start --background --pidfile ${path}.pid --startas $DAEMON || exit 1
    until alive; do sleep 0.02; done ;;
  stop) ${stop} ;;
  status)
    alive && exit 0
    [ -e ${path}.pid ] && exit 1
    exit 3 ;;
  *) exit 2 ;;
esac
`
}
