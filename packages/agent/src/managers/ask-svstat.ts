import { cut } from '@filo/protocol'
import { describeExit, look } from '../exec.ts'
import { mapBounded } from './bounded.ts'
import { gather, type Ask } from './gathered.ts'
import { isMissing, missing } from './lsb-script.ts'
import type { Sighting } from './manager.ts'
import { readSvstat, type SvstatLine } from './svstat.ts'

/** Twice, one after another, within the time of a look. */
const svstatTimeoutMs = 4000
/** Directories looked at side by side where one of them keeps svstat from coming back. */
const askedAtOnce = 32

/** Asks the program for directories: its line for each, or what can be said where it says nothing. */
export function askerBy(svstat: string): Ask<string, SvstatLine | Sighting> {
  return gather(
    (services, signal) => ask(svstat, services, signal),
    () => silent('cut short'),
  )
}

/** svstat looks at one directory after another: where it does not come back, each is asked for by itself. */
async function ask(
  svstat: string,
  services: readonly string[],
  signal: AbortSignal,
): Promise<(SvstatLine | Sighting)[]> {
  const { exit, stdout } = await look([svstat, ...services], { signal, timeoutMs: svstatTimeoutMs })
  if (exit.kind === 'exited') return readSvstat(stdout, services)
  if (isMissing(exit)) return services.map(() => missing('svstat of daemontools', describeExit(exit)))
  if (services.length === 1 || signal.aborted) return services.map(() => silent(describeExit(exit)))
  return await mapBounded(services, askedAtOnce, async (service) => {
    const [answer] = await ask(svstat, [service], signal)
    return answer!
  })
}

function silent(why: string): Sighting {
  return { state: 'unknown', live: 'unknown', detail: cut(`svstat gave no answer: ${why}`) }
}
