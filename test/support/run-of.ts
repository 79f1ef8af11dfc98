import { expect } from 'vitest'
import type { LocalFleet } from './local-fleet.ts'

/** The name of the newest run, as `filo runs` tells it. */
export async function newestRun(fleet: Pick<LocalFleet, 'filo'>): Promise<string> {
  const { stdout } = await fleet.filo('runs', '--json')
  const [newest] = JSON.parse(stdout) as { run: string }[]
  return newest!.run
}

/** Starts the whole fleet, and begins the services' ledger anew. */
export async function bringUp(fleet: LocalFleet): Promise<void> {
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  fleet.services.forget()
}
