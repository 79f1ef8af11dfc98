import { execFileSync } from 'node:child_process'
import { holdBackInterruption, type, walkThrough } from '../walkthrough.ts'
import { openGreenarrow } from './product.ts'

// Takes GreenArrow Engine up and down as its manual says, with everything that the manual warns of.

const isInterrupted = holdBackInterruption()
await using product = await openGreenarrow()
process.stdout.write(`GreenArrow Engine and a program that injects mail, in ${product.root}\n`)
const exit = await walkThrough(product.root, isInterrupted, [
  type(0, 'validate'),
  type(0, 'start', '--yes'),
  type(0, 'status'),
  type(0, 'restart', 'http', '--yes'),
  {
    tell: 'There are so many messages in the disk queue that it needs four seconds to end; two are waited for.',
    act: () => product.slow('hvmail-disk-qmail-send', 4),
  },
  type(0, 'stop', 'postgres', '--yes'),
  {
    tell: 'By accident, somebody starts PostgreSQL directly: svc -u /service/hvmail-postgres',
    act: () => void execFileSync('svc', ['-u', product.service('hvmail-postgres')]),
  },
  type(0, 'start', '--yes'),
  type(0, 'stop', '--yes'),
  type(3, 'status'), // as an init script's status: 3 is "not running"
])
if (exit === 0) process.stdout.write(`\nWhat the processes themselves wrote down:\n\n${product.log()}`)
process.exitCode = exit
