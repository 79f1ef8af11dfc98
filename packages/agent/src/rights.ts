import { cut, hookName, powerName, type HostDefinition, type Task } from '@filo/protocol'
import { look } from './exec.ts'
import { mapBounded } from './managers/bounded.ts'
import { anyName } from './managers/manager.ts'
import type { Managers } from './observer.ts'
import { sudoCommands, type SudoCommand } from './root-commands.ts'

// Whether sudo lets an agent that is not root do what its configuration asks for. Asked beforehand, for a fleet is not to
// be half stopped when a host turns out to forbid its part.

/** What the agent lacks, by asking sudo anew each time. */
export interface Rights {
  /** For these tasks, or for all that it may be asked for; undefined where it lacks nothing. */
  lackFor(tasks?: readonly Task[]): Promise<string | undefined>
}

const askTimeoutMs = 10_000
const asksAtOnce = 4

/** @param user whose rights are asked for, by root; undefined: one's own. */
export function rightsOf(host: HostDefinition, managers: Managers, isScoped: boolean, user?: string): Rights {
  const commands = sudoCommands(host, managers, isScoped)
  return {
    async lackFor(tasks) {
      const sought =
        tasks === undefined
          ? commands
          : commands.filter(({ of }) => of === undefined || tasks.some((task) => isFor(task, of)))
      const allowed = await mapBounded(sought, asksAtOnce, (command) => isAllowed(command, user))
      const lacking = sought.filter((_, at) => !allowed[at])
      if (lacking.length === 0) return undefined
      const [first, ...more] = lacking.map(({ argv }) => argv.join(' '))
      const rest = more.length === 0 ? '' : `, nor ${more.length} more`
      return cut(
        `sudo does not let the agent run ${first}${rest}: give it the rules of filo agent-config ${host.host} --sudoers`,
      )
    },
  }
}

function isFor(task: Task, of: string): boolean {
  if (task.verb === 'hook') return of === hookName(task.service, task.hook)
  return of === ('service' in task ? task.service : powerName)
}

/** sudo(8), "-l": with a command it answers by its exit code. */
async function isAllowed({ argv }: SudoCommand, user: string | undefined): Promise<boolean> {
  const whose = user === undefined ? [] : ['-U', user]
  // Any name will do where the host alone knows which there are.
  const asked = argv.map((argument) => argument.replace(anyName, 'a'))
  const { exit } = await look(['sudo', '-n', '-l', ...whose, '--', ...asked], {
    signal: new AbortController().signal,
    timeoutMs: askTimeoutMs,
  })
  return exit.kind === 'exited' && exit.code === 0
}
