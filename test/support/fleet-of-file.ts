import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { FleetServices } from './fleet-file.ts'
import { openSharedFleet, type Fleet } from './fleet.ts'

interface Opened<Broker> {
  readonly broker: Broker
  readonly fleet: Fleet
}

/**
 * Opens a broker and a fleet for all tests of a file, and ends them after the last. What hooks of the file add to them
 * is registered after this, and so ends before them.
 * @param assign is given them before the first test.
 */
export function openForFile<Broker extends AsyncDisposable & { readonly url: string }>(
  startBroker: () => Promise<Broker>,
  declared: FleetServices,
  assign: (opened: Opened<Broker>) => void,
): void {
  const stack = new AsyncDisposableStack()
  let fleet: Fleet
  beforeAll(async () => {
    const broker = stack.use(await startBroker())
    fleet = stack.use(await openSharedFleet(broker.url, declared))
    assign({ broker, fleet })
  })
  afterAll(() => stack.disposeAsync())
  beforeEach(() => fleet.showLogsIfTestFails())
}
