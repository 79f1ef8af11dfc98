import { brokerKind } from './broker.ts'
import type { BrokerCluster } from './cluster-of-nodes.ts'
import { startNatsCluster } from './nats-cluster.ts'
import { startRabbitmqCluster } from './rabbitmq-cluster.ts'

/** A cluster of a test's own, of the kind that FILO_TEST_BROKER names. */
export function startCluster(): Promise<BrokerCluster> {
  return brokerKind() === 'nats' ? startNatsCluster() : startRabbitmqCluster()
}
