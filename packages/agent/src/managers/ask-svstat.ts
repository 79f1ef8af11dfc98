import { cut } from '@filo/protocol'
import { describeExit } from '../exec.ts'
import { direct, type Runner } from '../runner.ts'
import { mapBounded } from './bounded.ts'
import { gather, type Ask } from './gathered.ts'
import { isMissing, missing } from './lsb-script.ts'
import type { RootCommand, Sighting } from './manager.ts'
import { readSvstat, type SvstatLine } from './svstat.ts'

/** Twice, one after another, within the time of a look. */
const svstatTimeoutMs = 4000
/** Directories looked at side by side where one of them keeps svstat from coming back. */
const askedAtOnce = 32

/** Asks the program for directories: its line for each, or what can be said where it says nothing. */
export function askerBy(svstat: string, runner = direct): Ask<string, SvstatLine | Sighting> {
  return gather(
    (services, signal) => ask(runner, svstat, services, signal),
    () => silent('cut short'),
  )
}

/** What is run of it for one directory. */
export function svstatOf(service: string): Extract<RootCommand, { kind: 'look' }> {
  return { kind: 'look', argv: ['svstat', service], timeoutMs: svstatTimeoutMs }
}

/**
 * svstat looks at one directory after another: where it does not come back, each is asked for by itself. So is it by sudo, whose
 * rules know no others.
 */
async function ask(
  runner: Runner,
  svstat: string,
  services: readonly string[],
  signal: AbortSignal,
): Promise<(SvstatLine | Sighting)[]> {
  const askEach = async (): Promise<(SvstatLine | Sighting)[]> =>
    await mapBounded(services, askedAtOnce, async (service) => {
      const [answer] = await ask(runner, svstat, [service], signal)
      return answer!
    })
  if (runner.isBySudo && services.length > 1) return await askEach()
  const { exit, stdout } = await runner.look([svstat, ...services], {
    signal,
    timeoutMs: svstatTimeoutMs,
  })
  if (exit.kind === 'exited') return readSvstat(stdout, services)
  if (isMissing(exit)) return services.map(() => missing('svstat of daemontools', describeExit(exit)))
  if (services.length === 1 || signal.aborted) return services.map(() => silent(describeExit(exit)))
  return await askEach()
}

function silent(why: string): Sighting {
  return { state: 'unknown', live: 'unknown', detail: cut(`svstat gave no answer: ${why}`) }
}
