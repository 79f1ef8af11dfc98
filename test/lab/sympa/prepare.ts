import { readFileSync } from 'node:fs'
import type { Host } from '../host.ts'
import type { Lab } from '../lab.ts'
import { addressOf } from '../network.ts'

// The work of an administrator between installing Debian's packages and the first mail: the hosts learn of each
// other, and there is one list with one subscriber.

const network = '10.77.0.0/24'

export const list = 'demo@lists.lab'
export const subscriber = 'alice@mail.lab'

/**
 * How the platform is to be driven. `initscripts` takes Debian's units of Sympa away, its init script remains;
 * `spawned` has no host for the web, but an HTTP server beside Sympa that starts WWSympa itself.
 */
export type Way = 'systemd' | 'initscripts' | 'spawned'

/** What can be written down before the hosts are up. */
export async function furnishSympa(lab: Lab, way: Way): Promise<void> {
  await Promise.all([
    furnishDatabase(lab.host('db')),
    furnishApplication(lab.host('app'), way),
    furnishMail(lab.host('mail')),
  ])
  if (way !== 'spawned') furnishWeb(lab.host('web'))
}

/** What needs a database that runs; and the daemons that need what is in it. */
export async function prepareSympa(lab: Lab, way: Way): Promise<void> {
  await Promise.all([preparePlatform(lab, way), lab.declare(fleetFile(way))])
}

async function preparePlatform(lab: Lab, way: Way): Promise<void> {
  await lab.host('app').sh(
    `
    su sympa -s /bin/sh -c 'sympa check'
    su sympa -s /bin/sh -c 'sympa create --input_file=/var/lib/sympa/demo.xml lists.lab'
    echo ${subscriber} | su sympa -s /bin/sh -c 'sympa add ${list}'
    postalias /etc/mail/sympa/aliases
    systemctl start sympa ${unitsBeside[way]}`,
    { timeoutMs: 400_000 },
  )
}

const fleetFiles = { systemd: 'filo.yaml', initscripts: 'initscripts.yaml', spawned: 'spawned.yaml' } as const

/** The fleet file of the example. */
export function fleetFile(way: Way): string {
  return readExample(fleetFiles[way])
}

function readExample(name: string): string {
  return readFileSync(new URL(`../../../examples/sympa/${name}`, import.meta.url), 'utf8')
}

/** Its log tells of every connection, so that a test can hold Filo to it. */
async function furnishDatabase(db: Host): Promise<void> {
  const dir = '/etc/postgresql/15/main'
  // The port too: the package takes the next one where something listened on 5432 when the image was made.
  db.write(
    `${dir}/conf.d/lab.conf`,
    "port = 5432\nlisten_addresses = '*'\nlog_connections = on\nlog_disconnections = on\nlog_line_prefix = '%m [%p] %h '\n",
  )
  await db.change(`echo 'host sympa sympa ${network} scram-sha-256' >> ${dir}/pg_hba.conf`)
}

async function furnishMail(mail: Host): Promise<void> {
  await mail.change(`
    useradd --create-home alice
    postconf -e myhostname=mail.lab mydestination=mail.lab,localhost relay_domains=lists.lab \\
      'transport_maps=inline:{lists.lab=smtp:[${addressOf(2)}]:25}' ${postfixInLab}`)
}

/** There is no name server in the lab. */
const postfixInLab = `'mynetworks=127.0.0.0/8 ${network}' smtp_host_lookup=native smtp_dns_support_level=disabled \\
      inet_protocols=ipv4 minimal_backoff_time=1s maximal_backoff_time=2s queue_run_delay=1s`

async function furnishApplication(app: Host, way: Way): Promise<void> {
  const automatic = way !== 'spawned'
  if (automatic) {
    furnishSocket(app)
    app.write('/etc/systemd/system/sympa-automatic.service', readExample('sympa-automatic.service'))
  }
  // Or the init script leaves the daemon that sympa_msg.pl starts behind; the order is that of the start.
  if (way === 'initscripts') app.write('/etc/default/sympa', `DAEMONS="${initDaemons}"\n`)
  app.write('/var/lib/sympa/demo.xml', demoList, 0o644)
  await app.change(`
    postconf -e myhostname=lists.lab mydestination=lists.lab,localhost 'relayhost=[${addressOf(3)}]' \\
      'alias_maps=hash:/etc/aliases,hash:/etc/mail/sympa/aliases' ${postfixInLab}
    sed -i '/^db_/d; /^wwsympa_url/d' /etc/sympa/sympa/sympa.conf
    cat >> /etc/sympa/sympa/sympa.conf <<CONF
db_type PostgreSQL
db_host db
db_port 5432
db_name sympa
db_user sympa
db_passwd sympa
wwsympa_url http://${way === 'spawned' ? 'app' : 'web'}/sympa
${automatic ? 'automatic_list_feature on\nqueueautomatic /var/spool/sympa/automatic' : ''}
CONF
    install -d -o sympa -g sympa /var/spool/sympa/automatic
    ${way === 'initscripts' ? 'rm /lib/systemd/system/sympa.service /lib/systemd/system/sympa-*.service' : ''}`)
  if (way === 'spawned') await furnishApache(app)
}

/** What is to run on the application host beside `sympa`. */
const unitsBeside: Readonly<Record<Way, string>> = {
  systemd: 'wwsympa.socket wwsympa sympa-automatic',
  initscripts: 'wwsympa.socket wwsympa',
  spawned: 'apache2',
}

/** WWSympa listens on the network, because nginx is on another host; one process of it is enough for the lab's visitors. */
function furnishSocket(app: Host): void {
  app.write('/etc/systemd/system/wwsympa.service.d/lab.conf', '[Service]\nEnvironment=WWS_FCGI_CHILDREN=1\n')
  app.write(
    '/etc/systemd/system/wwsympa.socket.d/network.conf',
    '[Socket]\nListenStream=\nListenStream=9000\n',
  )
}

async function furnishApache(app: Host): Promise<void> {
  app.write('/etc/apache2/conf-enabled/sympa.conf', readExample('apache.conf'))
  await app.change(`
    echo 'export APACHE_RUN_USER=sympa APACHE_RUN_GROUP=sympa' >> /etc/apache2/envvars
    echo 'ServerName app' > /etc/apache2/conf-enabled/name.conf
    chown -R sympa:sympa /var/lib/apache2/fcgid`)
}

const initDaemons = 'sympa_automatic sympa_msg task_manager bulk bounced archived'

function furnishWeb(web: Host): void {
  web.write(
    '/etc/nginx/sites-enabled/default',
    `server {
  listen 80 default_server;
  server_name web;
  location = / { return 204; }
  location /sympa {
    include /etc/nginx/fastcgi_params;
    fastcgi_split_path_info ^(/sympa)(.*)$;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_param SCRIPT_FILENAME /usr/lib/cgi-bin/sympa/wwsympa.fcgi;
    fastcgi_pass ${addressOf(2)}:9000;
  }
}
`,
  )
}

const demoList = `<?xml version="1.0"?>
<list>
  <listname>demo</listname>
  <type>discussion_list</type>
  <subject>A list to try the platform by</subject>
  <description>A list to try the platform by</description>
  <status>open</status>
  <language>en</language>
  <topic>computing</topic>
  <owner multiple="1"><email>${subscriber}</email></owner>
</list>
`
