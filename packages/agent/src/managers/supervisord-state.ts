import { cut, limits, type Live, type State, type SupervisordDefinition } from '@filo/protocol'
import * as z from 'zod'
import { printable } from '../printable.ts'
import { combine } from './combined.ts'
import type { Sighting } from './manager.ts'

// What supervisord's word on its programs means (http://supervisord.org/subprocess.html, "Process States").

/**
 * A program that has just EXITED is started again by `autorestart` in supervisord's next turn, which comes within a
 * second; what it says does not tell whether it will be. Its times are whole seconds.
 */
const revivedWithinS = 3

/** As getAllProcessInfo gives it for each program. */
export const ProcessInfo = z.object({
  name: z.string(),
  group: z.string(),
  statename: z.string(),
  start: z.number(),
  stop: z.number(),
  now: z.number(),
  spawnerr: z.string(),
  pid: z.int().nonnegative(),
  description: z.string(),
})
export type ProcessInfo = z.infer<typeof ProcessInfo>

/** The program or group that a definition names, seen in all that supervisord knows. */
export function see(definition: SupervisordDefinition, infos: readonly ProcessInfo[]): Sighting {
  const members = membersOf(definition, infos)
  const [first] = members
  if (first === undefined) {
    const name = definition.program ?? `${definition.group}:*`
    const detail = `supervisord knows no ${name}: check its configuration and run supervisorctl update`
    return { state: 'missing', live: 'unknown', detail: cut(detail) }
  }
  return members.length === 1 ? seeProgram(first) : seeGroup(members)
}

/** supervisorctl lets a program be named alone where its group has the same name. */
export function membersOf<Member extends { readonly name: string; readonly group: string }>(
  { program, group }: SupervisordDefinition,
  all: readonly Member[],
): Member[] {
  if (program === undefined) return all.filter((member) => member.group === group)
  const [groupName, name = groupName] = program.split(':')
  return all.filter((member) => member.group === groupName && member.name === name)
}

function seeProgram(info: ProcessInfo): Sighting {
  const { state, live, note } = judgeProgram(info)
  const words = [info.description, note].filter((text) => text !== '').join('; ')
  return {
    state,
    live,
    detail: cut(printable(`${info.statename}${words === '' ? '' : ` (${words})`}`)),
    ...(state === 'running' && info.start > 0 ? { since: new Date(info.start * 1000) } : {}),
    ...(info.pid > 0 ? { processes: [processOf(info)] } : {}),
  }
}

function judgeProgram(info: ProcessInfo): { state: State; live: Live; note: string } {
  switch (info.statename) {
    case 'RUNNING':
      return { state: 'running', live: 'yes', note: '' }
    case 'STARTING':
    case 'BACKOFF':
      return { state: 'starting', live: 'yes', note: '' }
    case 'STOPPING':
      return { state: 'stopping', live: 'yes', note: '' }
    case 'STOPPED':
      return { state: 'stopped', live: 'no', note: '' }
    case 'FATAL':
      return { state: 'failed', live: 'no', note: '' }
    case 'EXITED': {
      const state = info.spawnerr === '' ? 'stopped' : 'failed'
      if (info.now - info.stop >= revivedWithinS) return { state, live: 'no', note: info.spawnerr }
      return { state, live: 'unknown', note: 'just now; autorestart may start it again within moments' }
    }
    default:
      return { state: 'unknown', live: 'unknown', note: 'supervisord itself does not know' }
  }
}

function processOf({ group, name, pid }: ProcessInfo) {
  return { pid, command: cut(printable(fullName({ group, name })), 120) }
}

function seeGroup(infos: readonly ProcessInfo[]): Sighting {
  const seen = infos.map(judgeProgram)
  const processes = infos.filter(({ pid }) => pid > 0).map(processOf)
  const running = seen.filter(({ state }) => state === 'running').length
  const named = infos.map((info) => `${fullName(info)} ${info.statename}`).join(', ')
  return {
    ...combine(seen),
    detail: cut(printable(`${running} of ${infos.length} running: ${named}`)),
    ...(processes.length > 0 ? { processes: processes.slice(0, limits.processesNamed) } : {}),
  }
}

function fullName({ group, name }: { readonly group: string; readonly name: string }): string {
  return group === name ? name : `${group}:${name}`
}
