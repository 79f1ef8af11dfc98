export type { AgentIdentity } from './agent.ts'
export { AgentConfig } from './config.ts'
export { openHost, type OpenHost } from './host.ts'
export { LedgerInUse } from './ledger.ts'
