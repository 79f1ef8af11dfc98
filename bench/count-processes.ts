import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'

// Imported into a Node process before its program (`--import`): at its end it leaves in the file that
// BENCH_PROCESSES names what processes it had started, a line with its arguments for each.

const started: ChildProcess[] = []
subscribe('child_process', (message) => started.push((message as { process: ChildProcess }).process))
process.once('exit', () => {
  const lines = started.map(({ spawnargs }) => `${spawnargs.join(' ')}\n`)
  appendFileSync(process.env['BENCH_PROCESSES']!, lines.join(''))
})
