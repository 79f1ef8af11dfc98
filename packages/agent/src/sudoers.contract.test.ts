import { execFile } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { HostDefinition } from '@filo/protocol'
import { expect, test } from 'vitest'
import { Dice } from '../../../test/support/dice.ts'
import { requirePrograms } from '../../../test/support/packages.ts'
import { tempDir } from '../../../test/support/temp-dir.ts'
import { sudoersFor } from './sudoers.ts'

const run = promisify(execFile)

/** What sudoers(5), fnmatch(3) and regex(7) make something of, and what they do not. */
const characters = '\\*?[]!^$,:=#"\'(){}|&;%@+-~`<>/.aZ9é'.split('')

/** A user that every machine has, and no rule. */
const user = 'nobody'

function quoted(argument: string): string {
  return `'${argument.replaceAll("'", String.raw`'\''`)}'`
}

/** What sudo itself says of each argv by these rules, in a mount namespace where they are all that it has. */
async function allowedBy(rules: string, argvs: readonly (readonly string[])[]): Promise<boolean[]> {
  await requirePrograms([
    ['sudo', 'sudo'],
    ['visudo', 'sudo'],
    ['unshare', 'util-linux'],
  ])
  using dir = tempDir()
  const file = join(dir.path, 'sudoers')
  writeFileSync(file, rules)
  chmodSync(file, 0o440)
  const { stdout: checked } = await run('visudo', ['-cf', file])
  expect(checked).toContain('parsed OK')
  const questions = argvs.map(
    (argv) => `sudo -n -l -U ${user} -- ${argv.map(quoted).join(' ')} >/dev/null 2>&1; echo $?`,
  )
  const script = join(dir.path, 'ask')
  writeFileSync(script, ['set -e', `mount --bind ${file} /etc/sudoers`, 'set +e', ...questions].join('\n'))
  const { stdout } = await run('unshare', ['--mount', '--propagation', 'private', '/bin/sh', script])
  return stdout
    .trim()
    .split('\n')
    .map((code) => code === '0')
}

test('of commands with any characters in them sudo allows each with exactly its own arguments', async () => {
  const dice = new Dice(5)
  const word = (): string => Array.from({ length: dice.between(1, 6) }, () => dice.pick(characters)).join('')
  const commands = Array.from({ length: 20 }, (_, at) => [
    '/bin/true',
    String(at),
    ...Array.from({ length: dice.between(0, 4) }, word),
  ])
  const hooks = commands.map((argv, at) => ({
    service: `s${at}`,
    at: 'after_stop' as const,
    run: argv,
    timeoutMs: 1000,
  }))
  const host = HostDefinition.parse({ fleet: 'lists', host: 'h1', services: [], hooks })
  const own = commands.map((argv) => ['/usr/bin/timeout', '--kill-after=1', '2', ...argv])
  const others = own.flatMap((argv) => [
    [...argv, 'more'],
    argv.slice(0, -1),
    [...argv.slice(0, -1), `${argv.at(-1)!}x`],
  ])
  const allowed = await allowedBy(sudoersFor(host, user), [...own, ...others])
  const refused = own.filter((_, at) => !allowed[at])
  const tooMuch = others.filter((_, at) => allowed[own.length + at])
  expect({ refused, tooMuch }).toEqual({ refused: [], tooMuch: [] })
  expect(allowed).toHaveLength(own.length + others.length)
}, 60_000)

test('of what GreenArrow has on a host sudo allows only svstat, which changes nothing, for services whose names are not known', async () => {
  const manager = {
    kind: 'greenarrow',
    part: 'mta',
    hvmailInit: '/var/hvmail/bin/hvmail_init',
    diskQueue: '/service/hvmail-disk-qmail-send',
  }
  const service = { service: 'mta', manager, startTimeoutMs: 1000, stopTimeoutMs: 1000, settleMs: 0 }
  const host = HostDefinition.parse({ fleet: 'lists', host: 'h1', services: [service], hooks: [] })
  const bounded = ['/usr/bin/timeout', '--signal=KILL', '4']
  expect(
    await allowedBy(sudoersFor(host, user), [
      [...bounded, 'svstat', '/service/hvmail-qmail-smtpd'],
      [...bounded, 'svc', '-d', '/service/hvmail-qmail-smtpd'],
      [...bounded, 'svstat', '/elsewhere/hvmail-qmail-smtpd'],
    ]),
  ).toEqual([true, false, false])
}, 60_000)
