// Loaded into a real `filo` or `filo-agent` by NODE_OPTIONS=--import. Their boot clock, which they read by os.uptime,
// goes on as far ahead of the machine's as the file FILO_CLOCK says, in milliseconds: five minutes of being frozen need
// no five minutes. Notes who has read it while it was ahead: a test in which nobody did has shown nothing.

import { appendFileSync, readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'

const file = process.env['FILO_CLOCK']!
const uptime = os.uptime.bind(os)
let isNoted = false
os.uptime = () => {
  const aheadMs = Number(readFileSync(file, 'utf8'))
  if (aheadMs > 0 && !isNoted) {
    appendFileSync(`${file}.readers`, `${process.pid}\n`)
    isNoted = true
  }
  return uptime() + aheadMs / 1000
}
syncBuiltinESMExports()
