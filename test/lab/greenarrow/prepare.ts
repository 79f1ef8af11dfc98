import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { layOutComponents } from '../../../examples/greenarrow/product.ts'
import { tempDir } from '../../support/temp-dir.ts'
import type { Host } from '../host.ts'
import type { Layer } from '../image.ts'
import type { Lab } from '../lab.ts'

// GreenArrow's stand-in on a host of its own, at the paths of the manual, and a program on another host that injects
// mail into it over the network.

export const daemontools: Layer = { name: 'daemontools', packages: ['daemontools'] }

/** The product as one unit, or in its parts. */
export type Grain = 'whole' | 'hosts'

/** Where the stand-in lies; /var/hvmail and /service lead into it. */
const place = '/opt/greenarrow'
/** Where what the stand-in's processes wrote down stands, and what the injecting program did. */
export const productLog = `${place}/services.log`
export const injectorLog = '/var/log/newsletter.log'

const smtpPort = 2525

export async function prepareGreenarrow(lab: Lab, grain: Grain): Promise<void> {
  await Promise.all([prepareProduct(lab.host('ga1')), prepareInjector(lab.host('app1'))])
  await lab.declare(fleetFile(grain))
}

export function fleetFile(grain: Grain): string {
  return readExample(`${grain}.yaml`)
}

function readExample(name: string): string {
  return readFileSync(join(examples, name), 'utf8')
}

const examples = join(import.meta.dirname, '../../../examples/greenarrow')

async function prepareProduct(ga1: Host): Promise<void> {
  using temp = tempDir()
  cpSync(join(examples, 'hvmail'), join(temp.path, 'hvmail'), { recursive: true })
  layOutComponents(temp.path, place)
  ga1.copy(temp.path, place)
  ga1.link('/var/hvmail', `${place}/hvmail`)
  ga1.link('/service', `${place}/service`)
  // The one component that is more here than in the example: others reach the MTA through it.
  ga1.write(
    `${place}/service/hvmail-qmail-smtpd/run`,
    `#!/bin/sh\nexec nc -lk ${smtpPort} >> ${place}/arrived\n`,
    0o755,
  )
  ga1.write('/usr/local/bin/test-send', testSend, 0o755)
  for (const unit of ['svscan.service', 'greenarrow.service']) {
    ga1.write(`/etc/systemd/system/${unit}`, readExample(unit))
  }
  await ga1.sh('systemctl daemon-reload; systemctl enable -q svscan greenarrow; systemctl start svscan')
}

const testSend = `#!/bin/sh
echo 'a message of test-send' | nc -N -w 5 127.0.0.1 ${smtpPort}
`

async function prepareInjector(app1: Host): Promise<void> {
  app1.write('/usr/local/bin/newsletter', newsletter, 0o755)
  app1.write(
    '/etc/systemd/system/newsletter.service',
    '[Unit]\nDescription=Injects mail\n[Service]\nExecStart=/usr/local/bin/newsletter\n',
  )
  await app1.exec('systemctl', 'daemon-reload')
}

/** Writes down when there was nobody to take a message. */
const newsletter = `#!/bin/sh
while :; do
  if echo 'a message of newsletter' | nc -N -w 2 ga1 ${smtpPort}
  then echo injected; else echo 'injects into an MTA that is down'; fi >> ${injectorLog}
  sleep 0.2
done
`
