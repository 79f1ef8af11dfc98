import { hookName, powerName, type HostDefinition } from '@filo/protocol'
import type { Manager, RootCommand } from './managers/manager.ts'
import { lookTimeoutMs, type Managers } from './observer.ts'
import { boundedLook, boundedRequest, scriptBound } from './runner.ts'
import { scopeBySudo, scopeTrial } from './scope.ts'

/** A command with all its arguments that the agent asks sudo for. */
export interface SudoCommand {
  /** A service, a hook or the power by its name among the host's definitions; undefined: it is of the agent itself. */
  readonly of: string | undefined
  readonly isLook: boolean
  readonly argv: readonly string[]
}

/**
 * All that the agent of a host asks sudo for. The same functions make the argvs that it runs.
 * @param isScoped whether scripts have control groups of their own.
 */
export function sudoCommands(
  { services, hooks, power }: HostDefinition,
  managers: Managers,
  isScoped: boolean,
): SudoCommand[] {
  const prefixFor = isScoped ? scopeBySudo : (_: string, timeoutMs: number) => scriptBound(timeoutMs)
  const look = (of: string | undefined, argv: readonly string[], timeoutMs: number): SudoCommand => ({
    of,
    isLook: true,
    argv: boundedLook(argv, timeoutMs),
  })
  const ofServices = services.flatMap(({ service, manager, ready, startTimeoutMs, stopTimeoutMs }) => {
    const own = (managers[manager.kind] as Manager).rootCommands(manager)
    const argvOf = (command: Exclude<RootCommand, { kind: 'look' }>): string[] => {
      if (command.kind === 'request') return boundedRequest(command.argv)
      const timeoutMs = command.verb === 'start' ? startTimeoutMs : stopTimeoutMs
      return [...prefixFor(service, timeoutMs), ...command.argv]
    }
    return [
      ...own.map((command) =>
        command.kind === 'look'
          ? look(service, command.argv, command.timeoutMs)
          : { of: service, isLook: false, argv: argvOf(command) },
      ),
      ...(ready?.command === undefined ? [] : [look(service, ready.command, lookTimeoutMs)]),
    ]
  })
  const ofHooks = hooks.flatMap(({ service, at, run, check, timeoutMs }) => {
    const of = hookName(service, at)
    return [
      { of, isLook: false, argv: [...prefixFor(service, timeoutMs), ...run] },
      ...(check === undefined ? [] : [look(of, check, lookTimeoutMs)]),
    ]
  })
  const ofPower =
    power === undefined
      ? []
      : [power.reboot, power.halt].map((argv) => ({ of: powerName, isLook: false, argv }))
  const trial = isScoped ? [look(undefined, scopeTrial.argv, scopeTrial.timeoutMs)] : []
  return [...trial, ...ofServices, ...ofHooks, ...ofPower]
}
