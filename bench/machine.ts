import { availableParallelism, cpus, release } from 'node:os'

/** What the figures of a benchmark were measured on, and with which versions of what. */
export function describeMachine(
  versions: Readonly<Record<string, string>> = {},
): Record<string, string | number> {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    kernel: release(),
    node: process.version,
    ...versions,
  }
}

/** The same in a line. */
export function machineLine(machine: Readonly<Record<string, string | number>>): string {
  return Object.entries(machine)
    .map(([what, value]) => `${what} ${value}`)
    .join(', ')
}
