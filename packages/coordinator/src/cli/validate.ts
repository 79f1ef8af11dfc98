import { parseFleet } from '../fleet/parse-fleet.ts'
import { formatProblem } from '../fleet/problem.ts'
import type { Context } from './context.ts'
import { exitCodes, type ExitCode } from './exit-code.ts'
import { readFleetFile } from './load-fleet.ts'
import { counted } from './plan-view.ts'
import { printJson, printLines } from './print.ts'

/** Says all that is wrong with the fleet file, or how large the fleet is. Touches nothing. */
export async function validate(context: Context): Promise<ExitCode> {
  const { stdout, format } = context
  const { file, text } = readFleetFile(context)
  const parsed = parseFleet(text, file)
  if (parsed.kind === 'refused') {
    const { problems } = parsed
    if (format === 'json') printJson(stdout, { file, valid: false, problems })
    else printLines(stdout, problems.map(formatProblem))
    return exitCodes.refused
  }
  const { name, hosts, services } = parsed.fleet
  const instances = [...services.values()].reduce((sum, service) => sum + service.hosts.length, 0)
  if (format === 'json') {
    const counts = { hosts: hosts.size, services: services.size, instances }
    printJson(stdout, { file, valid: true, fleet: name, ...counts })
  } else {
    const parts = [
      counted(hosts.size, 'host'),
      counted(services.size, 'service'),
      counted(instances, 'instance'),
    ]
    printLines(stdout, [`${file}: fleet ${name}: ${parts.join(', ')}`])
  }
  return exitCodes.done
}
