import { describeTls } from './testing-tls.ts'

describeTls('nats')
