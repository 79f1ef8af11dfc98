import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { noPolicy, PolicyFile, type LocalTime, type Policy } from './policy.ts'
import { parseYaml } from './yaml-text.ts'

/** The policy of the host whose agent has this configuration stands beside it, and is never written by Filo. */
export function policyFileOf(configFile: string): string {
  return join(dirname(configFile), 'policy.yaml')
}

/** The policy as it stands now. A host that has no such file allows everything. */
export function readPolicy(file: string): Policy {
  try {
    const parsed = PolicyFile.safeParse(parseYaml(readFileSync(file, 'utf8')) ?? {})
    return parsed.success
      ? { kind: 'read', file, says: parsed.data }
      : { kind: 'unreadable', file, why: z.prettifyError(parsed.error) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noPolicy
    return { kind: 'unreadable', file, why: (error as Error).message }
  }
}

/** A moment by this host's time zone. */
export function localTime(wall: Date): LocalTime {
  return { epochMs: wall.getTime(), minuteOfDay: wall.getHours() * 60 + wall.getMinutes() }
}
