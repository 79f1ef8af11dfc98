import type { HostDefinition } from '@filo/protocol'
import { createManagers } from './managers/all.ts'
import { anyName } from './managers/manager.ts'
import { sudoCommands, type SudoCommand } from './root-commands.ts'
import { direct } from './runner.ts'

// What an agent that is not root may run as root, as sudoers(5) has it. PURE.
//
// S1. Each rule is one command with all its arguments. sudo compares these joined by spaces, so none may hold one.
// S2. What is found by its name alone is found in the directories of the rules, not in those that the caller names.

/** Why a host's commands cannot be told to sudo. */
export class UnfitForSudo extends Error {
  override name = 'UnfitForSudo'
}

/** Where both sudo and the agent look for programs; nobody but root may write there. */
export const securePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const timeout = '/usr/bin/timeout'
const systemdRun = '/usr/bin/systemd-run'

/**
 * The rules for the agent of a host, to be a file in /etc/sudoers.d. Whether systemd is PID 1 there is not known here: what
 * either way would take is allowed. Throws UnfitForSudo.
 */
export function sudoersFor(definition: HostDefinition, user: string): string {
  const { fleet, host } = definition
  const commands = [true, false].flatMap((onSystemd) =>
    sudoCommands(definition, createManagers(direct, onSystemd), onSystemd),
  )
  const looks = commands.filter(({ isLook }) => isLook)
  const acts = Map.groupBy(
    commands.filter(({ isLook }) => !isLook),
    ({ of }) => of ?? '',
  )
  const named = [...acts, ...(looks.length > 0 ? [['looks', looks] as const] : [])]
  const names = aliasNames(named.map(([what]) => what))
  const aliases = named.map(([, all], at) => `${alias(names[at]!, all)}\n`)
  const granted =
    names.length === 0
      ? ['# Nothing of it needs root.']
      : [`${user} ALL=(root) NOPASSWD: ${names.join(', ')}`]
  // They come every second while something is waited for.
  const quiet = looks.length > 0 ? ['# Looks are not logged.', `Defaults!${names.at(-1)} !syslog`, ''] : []
  return `${[
    `# What the agent of ${host} in the fleet ${fleet} may run as root.`,
    `# Written by: filo agent-config ${host} --sudoers`,
    '',
    '# A command takes the place of its sudo: no terminal, no session, no process between it and the agent.',
    `Defaults:${user} !requiretty, !use_pty, !pam_session, !pam_setcred`,
    `Defaults:${user} env_reset, secure_path="${securePath}"`,
    '',
    ...aliases,
    ...quiet,
    ...granted,
  ].join('\n')}\n`
}

/** Names of aliases: capital letters, digits and underscores, each another. */
function aliasNames(whats: readonly string[]): string[] {
  const names: string[] = []
  for (const what of whats) {
    const plain = `FILO_${what
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]+/g, '_')
      .replace(/^_/, '')}`
    const count = names.filter((name) => name === plain || name.startsWith(`${plain}__`)).length
    names.push(count === 0 ? plain : `${plain}__${count + 1}`)
  }
  return names
}

function alias(name: string, commands: readonly SudoCommand[]): string {
  const rules = new Set(commands.map(({ argv }) => ruleFor(argv)))
  return `Cmnd_Alias ${name} = \\\n    ${[...rules].join(', \\\n    ')}`
}

/** A command as a rule has it. Without arguments it would be allowed with any. */
function ruleFor([program, ...args]: readonly string[]): string {
  const path = { timeout, 'systemd-run': systemdRun }[program!] ?? program!
  return [path, ...args].map(escaped).join(' ') + (args.length === 0 ? ' ""' : '')
}

function escaped(argument: string): string {
  if (argument.endsWith(anyName)) return `${escaped(argument.slice(0, -anyName.length))}*`
  if (/[\s\p{Cc}]/u.test(argument)) {
    throw new UnfitForSudo(
      `${JSON.stringify(argument)} is an argument with a space or a control character in it, and sudo cannot tell a space within an ` +
        'argument from one between two: put the command into a script of its own, and name that',
    )
  }
  return literal(argument)
}

/** First what is a pattern to fnmatch(3), and since sudo 1.9.10 a regular expression, then what sudoers(5) itself reads. */
function literal(text: string): string {
  return text.replaceAll(/[\\*?[\]^!]/g, '\\$&').replaceAll(/\\(?![*?[\]^!])|[,:=#]/g, '\\$&')
}
