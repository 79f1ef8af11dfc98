import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDir, keyOf } from './cache.ts'
import { Cgroup } from './cgroup.ts'
import { attempt, run } from './command.ts'
import { holdLock } from './lock.ts'
import { forgetNspawn, nspawnArgs, nspawnEnv } from './nspawn.ts'

// Debian, as a directory that hosts lay their own disks over. Made once, then kept under a name that has the digest
// of its recipe.

const release = 'bookworm'

/** Where this machine takes the packages of that release from: hosts take theirs from the same mirrors. */
async function readSources(): Promise<string> {
  const format = ['--format', 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages']
  const targets = await run(['apt-get', 'indextargets', ...format])
  const suites = new Set([release, `${release}-updates`, `${release}-security`])
  const lines = targets
    .split('\n')
    .filter((line) => suites.has(line.split(' ')[2] ?? '') && line.endsWith(' main'))
  if (lines.length === 0) {
    throw new Error(
      `this machine's apt has no source of Debian ${release}, which the lab's hosts are made of`,
    )
  }
  return `${[...new Set(lines)].toSorted().join('\n')}\n`
}

/** What every host has: systemd as PID 1, and what an administrator would miss on it. */
const basePackages = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'libpam-systemd',
  'iproute2',
  'iputils-ping',
  'procps',
  'netcat-openbsd',
  'curl',
  'ca-certificates',
]

const aptOptions = [
  // A mirror may be a snapshot of an earlier day.
  'Acquire::Check-Valid-Until "false"',
  'Acquire::Languages "none"',
  'Acquire::Retries "3"',
  'APT::Install-Recommends "false"',
]

/** Work that would wake a host up at any time. */
const maskedTimers = ['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'fstrim.timer']

const makeTimeoutMs = 600_000

/** Packages installed over the base image, or over another layer. */
export interface Layer {
  readonly name: string
  readonly on?: Layer
  readonly packages: readonly string[]
  /** Answers to the questions of the packages, as debconf-set-selections(1) reads them. */
  readonly answers?: string
  /** A script for sh(1) that runs before the packages are installed. */
  readonly before?: string
  /** One that runs when they are. */
  readonly after?: string
}

/**
 * The directories of each of these layers and of all below it, the uppermost first, as overlayfs wants them. Makes
 * what is missing, side by side where no layer lies on the other.
 */
export async function layersOf(layers: readonly (Layer | undefined)[]): Promise<string[][]> {
  const sources = await readSources()
  return await Promise.all(layers.map((layer) => makeLayers(layer, sources)))
}

/** Why the images of these layers cannot be made here; undefined where they can, or are there already. */
export async function obstacleToImages(layers: readonly Layer[]): Promise<string | undefined> {
  const sources = await readSources().catch((error: Error) => error)
  if (sources instanceof Error) return sources.message
  const names = [nameOf(undefined, sources), ...layers.map((layer) => nameOf(layer, sources))]
  if (names.every((name) => existsSync(cacheDir('images', name)))) return undefined
  const dir = mkdtempSync(join(tmpdir(), 'filo-lab-'))
  try {
    writeFileSync(join(dir, 'sources.list'), sources)
    mkdirSync(join(dir, 'lists/partial'), { recursive: true })
    const places = { 'Dir::Etc::SourceList': 'sources.list', 'Dir::State::Lists': 'lists', 'Dir::Cache': '.' }
    const update = await attempt(
      [
        ...['apt-get', 'update', '--error-on=any', '--option=Dir::Etc::SourceParts=/dev/null'],
        ...Object.entries(places).map(([option, name]) => `--option=${option}=${join(dir, name)}`),
        ...aptOptions.map((option) => `--option=${option.replace(' ', '=').replaceAll('"', '')}`),
      ],
      { timeoutMs: 180_000 },
    )
    return update.code === 0 ? undefined : `Debian's packages cannot be had: ${firstError(update.stderr)}`
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function firstError(said: string): string {
  return said.split('\n').find((line) => line.startsWith('E: ')) ?? said.trim()
}

function nameOf(layer: Layer | undefined, sources: string): string {
  return layer === undefined
    ? `base-${keyOf({ sources, basePackages, baseOptions, maskedTimers })}`
    : `${layer.name}-${keyOf({ layer, installation, sources, basePackages })}`
}

async function makeLayers(layer: Layer | undefined, sources: string): Promise<string[]> {
  const name = nameOf(layer, sources)
  if (layer === undefined) return [await keep(name, [], (root) => makeBase(root, sources))]
  const below = await makeLayers(layer.on, sources)
  return [await keep(name, below, (root) => install(layer, root)), ...below]
}

const baseOptions = [
  // Its own device nodes, mount and pid namespace: mmdebstrap(1), "root".
  '--mode=root',
  '--variant=apt',
  ...aptOptions.map((option) => `--aptopt=${option}`),
  // The layers are made by them.
  '--skip=cleanup/apt/lists',
  '--format=directory',
]

async function makeBase(root: string, sources: string): Promise<void> {
  const list = `${root}.list`
  writeFileSync(list, sources)
  const packages = `--include=${basePackages.join(',')}`
  await run(['mmdebstrap', '--quiet', ...baseOptions, packages, release, root, list], {
    timeoutMs: makeTimeoutMs,
  })
  const mask = maskedTimers.map((timer) => `ln -sf /dev/null etc/systemd/system/${timer}`)
  await run(['/bin/sh', '-ec', `cd "$0"; ${mask.join('; ')}`, root])
}

/**
 * Has `make` write a directory over those `below`, under another name, and renames it when it is complete: what is
 * there can be used.
 */
async function keep(
  name: string,
  below: readonly string[],
  make: (root: string) => Promise<void>,
): Promise<string> {
  const kept = cacheDir('images', name)
  if (existsSync(kept)) return kept
  mkdirSync(cacheDir('images'), { recursive: true })
  await using _lock = await holdLock(cacheDir('images', `.${name}.lock`))
  if (existsSync(kept)) return kept // Somebody else was making it.
  process.stderr.write(`lab: making ${name}, which is kept in ${cacheDir('images')}\n`)
  const dir = mkdtempSync(cacheDir('images', '.making-'))
  const [upper, work, root, nothing] = ['image', 'work', 'root', 'nothing'].map((one) => join(dir, one)) as [
    string,
    string,
    string,
    string,
  ]
  try {
    for (const one of [upper, work, root, nothing]) mkdirSync(one)
    await mountOverlay({ lower: below.length === 0 ? [nothing] : below, upper, work, root })
    try {
      await make(root)
    } finally {
      await run(['umount', root])
    }
    // What was written without waiting for the disk is to be there after a crash of the machine.
    await run(['sync', '--file-system', upper], { timeoutMs: makeTimeoutMs })
    renameSync(upper, kept)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  return kept
}

/**
 * Run by systemd-nspawn, which gives it device nodes of its own; policy-rc.d keeps the packages' daemons from starting.
 * The base image knows what packages there are, unless the mirrors have others by now.
 */
const installation = `
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
debconf-set-selections < /.answers
sh -e /.before
install() { apt-get -qq -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io install "$@"; }
install "$@" || { apt-get -qq update; install "$@"; }
sh -e /.after
apt-get clean
rm -f /usr/sbin/policy-rc.d /.answers /.before /.after
`

async function install(layer: Layer, root: string): Promise<void> {
  const machine = `filo-lab-image-${process.pid}-${layer.name}`
  const cgroup = new Cgroup(machine)
  cgroup.make()
  try {
    writeFileSync(join(root, '.answers'), layer.answers ?? '')
    writeFileSync(join(root, '.before'), layer.before ?? '')
    writeFileSync(join(root, '.after'), layer.after ?? '')
    const script = ['/bin/sh', '-c', installation, 'install', ...layer.packages]
    const argv = [
      ...cgroup.enter,
      ...nspawnArgs(root, machine),
      '--resolv-conf=copy-host',
      '--as-pid2',
      ...script,
    ]
    await run(argv, { timeoutMs: makeTimeoutMs, env: nspawnEnv })
  } finally {
    await cgroup.remove()
    forgetNspawn(root, machine)
  }
}

export interface Overlay {
  /** The uppermost first. */
  readonly lower: readonly string[]
  readonly upper: string
  readonly work: string
  readonly root: string
}

/** What is written to it is not waited for: it survives everything but a crash of the machine that the lab is on. */
export async function mountOverlay({ lower, upper, work, root }: Overlay): Promise<void> {
  const options = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work},volatile`
  await run(['mount', '-t', 'overlay', 'filo-lab', '-o', options, root])
}
