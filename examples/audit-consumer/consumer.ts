import { openTransport, type AuditEvent } from '@filo/protocol'

// A consumer of audit events: prints what went wrong, and nothing else.
//   node examples/audit-consumer/consumer.ts amqps://filo:password@broker.example.net pager

const [broker, consumer] = process.argv.slice(2)
if (broker === undefined || consumer === undefined) {
  console.error('usage: node consumer.ts BROKER CONSUMER')
  process.exit(64)
}

const ending = new AbortController()
process.once('SIGINT', () => ending.abort())

await using transport = await openTransport([broker], { name: consumer })
// A durable place in the event log, under this name: what happens while nobody listens comes later.
await using events = await transport.subscribe(consumer, { type: 'filo.action' }, ending.signal)
const seen = new Map<string, number>()
for await (const { event, acknowledge } of events) {
  // An event may come twice, and is told apart by its source and its number there.
  if (event.sequence > (seen.get(event.source) ?? 0)) report(event)
  seen.set(event.source, Math.max(event.sequence, seen.get(event.source) ?? 0))
  acknowledge()
}

function report({ time, subject, type, data }: AuditEvent): void {
  if (data.outcome === undefined || data.outcome === 'success') return
  console.log(`${time} ${subject} ${type} ${data.outcome}: ${data.reason ?? 'no reason given'}`)
}
