import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where Debian puts daemons that are not on everybody's PATH. */
const daemonDirs = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/lib/rabbitmq/bin']

const installing = new Map<string, Promise<void>>()

/** A program, and Debian's package that it comes in. */
export type Needed = readonly [program: string, debianPackage: string]

/**
 * The absolute path of a program that a test needs. What is missing is installed from Debian's packages where
 * root can do so; otherwise the test fails and says what to install. A test is never skipped for it.
 */
export async function requireProgram(program: string, debianPackage: string): Promise<string> {
  await requirePrograms([[program, debianPackage]])
  return findProgram(program)!
}

/** The same for several: what is missing is installed at one go. */
export async function requirePrograms(needed: readonly Needed[]): Promise<void> {
  const missing = needed.filter(([program]) => findProgram(program) === undefined)
  if (missing.length === 0) return
  const names = missing.map(([program]) => program).join(', ')
  const packages = missing.map(([, debianPackage]) => debianPackage).join(' ')
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    throw new Error(
      `this test needs ${names}, not found on this machine, and only root on Debian can install that: ` +
        `apt-get install --no-install-recommends ${packages}`,
    )
  }
  let installation = installing.get(packages)
  if (installation === undefined) {
    process.stderr.write(`not on this machine: ${names}; installing Debian's packages: ${packages}\n`)
    installation = install(packages.split(' '))
    installing.set(packages, installation)
  }
  await installation
  const absent = missing.filter(([program]) => findProgram(program) === undefined)
  if (absent.length > 0) throw new Error(`${packages} do not bring ${absent.map(([one]) => one).join(', ')}`)
}

/** The absolute path of a program, if it is on this machine. */
export function findProgram(program: string): string | undefined {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), ...daemonDirs]
  return dirs.map((dir) => join(dir, program)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Installs without starting what the package brings: a test runs its own private one. invoke-rc.d(8) and
 * deb-systemd-invoke(1) ask policy-rc.d; one that the machine has already is left alone. The lock is for test
 * files that run side by side, and outlives none of them.
 */
const script = `
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" </dev/null; }
install "$@" || { apt-get -o DPkg::Lock::Timeout=300 update -q; install "$@"; }
`

async function install(debianPackages: readonly string[]): Promise<void> {
  const argv = ['/tmp/filo-test-packages.lock', '/bin/sh', '-c', script, 'install', ...debianPackages]
  try {
    await run('flock', argv, { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 })
  } catch (error) {
    const said = (error as { stderr?: string }).stderr ?? ''
    throw new Error(
      `cannot install Debian's packages ${debianPackages.join(' ')}: ${said.trim().slice(-1000)}`,
      {
        cause: error,
      },
    )
  }
}
