import type { HostStep } from './plan.ts'

/** Why the host that a run is carried out on is not taken down by it, and what to do instead. */
export function ownMachine(host: string, kind: HostStep['kind']): string {
  const after = kind === 'reboot' ? '; when it is up again, lead that stop back with: filo undo RUN' : ''
  return (
    `${host} is the machine that this command itself runs on: the command would end with it, and could prove nothing. ` +
    `Do it by hand: filo stop @${host}, then systemctl ${kind === 'reboot' ? 'reboot' : 'poweroff'}${after}`
  )
}
