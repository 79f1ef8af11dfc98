import type { Broker } from './broker.ts'

/** Three nodes on loopback that are one broker, each of which can be killed and started again by itself. */
export interface BrokerCluster<Node extends Broker = Broker> extends AsyncDisposable {
  readonly nodes: readonly Node[]
  /** As `broker:` of a fleet file has them: a list in flow YAML. */
  readonly url: string
  /** The node that decides on the order of what an event consumer gets. Throws while there is none. */
  leaderOf(consumer: string): Promise<Node>
  /** Resolves when all three have all that is kept: until then the loss of another node is one too many. */
  untilWhole(): Promise<void>
}

export function urlOf(nodes: readonly Broker[]): string {
  return `[${nodes.map(({ url }) => url).join(', ')}]`
}

export function portOf({ url }: { readonly url: string }): number {
  return Number(new URL(url).port)
}
