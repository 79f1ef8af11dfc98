import type { Observation } from '@filo/protocol'
import type { Ended } from '../support/filo.ts'
import type { Lab } from './lab.ts'

export type Row = Observation & { readonly instance: string }

/** What `filo status` says of every instance, by its name. */
export async function statusOf(lab: Lab): Promise<ReadonlyMap<string, Row>> {
  const { stdout, stderr, code } = await lab.filo('status', '--json')
  if (code === null || stdout === '') throw new Error(`filo status ended with ${code}: ${stderr}`)
  const { instances } = JSON.parse(stdout) as { readonly instances: readonly Row[] }
  return new Map(instances.map((row) => [row.instance, row]))
}

/** The run that a command was about. */
export function runOf({ stdout, stderr }: Ended): string {
  const run = /r\d{8}-\d{6}-[0-9a-z]{4}/.exec(stdout + stderr)?.[0]
  if (run === undefined) throw new Error(`no run is named in:\n${stderr}\n${stdout}`)
  return run
}
