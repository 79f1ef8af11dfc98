import { readConfig } from '../../packages/agent/src/config.ts'
import { serve } from '../../packages/agent/src/serve.ts'

// The agent as `filo-agent` runs it, on a machine of the tests (machine.ts), which has boots of its own:
// agent-in-boot.ts CONFIG STATE BOOT

const [config, state, boot] = process.argv.slice(2) as [string, string, string]
await serve(readConfig(config), state, boot)
process.exit()
