import { expect, test } from 'vitest'
import { parseFleet } from './parse-fleet.ts'
import { formatProblem } from './problem.ts'

// Each key of a fleet file, wrong in each way: an administrator is told where, what, and what was expected.

/** A good file with `lines` added to its service `app`, from line 9. */
function inService(lines: string): string {
  const indented = lines.replaceAll(/^/gm, '    ')
  return atTop(indented)
}

/** A good file with a line 9. */
function atTop(line: string): string {
  return `fleet: lists
broker: local
hosts: { db1: , web1: }
services:
  db: { hosts: db1, lsb: db }
  app:
    hosts: web1
    lsb: app
${line}
`
}

/** A good head, and in line 5 a service `db`. */
function db(entry: string): string {
  return `fleet: lists
broker: local
hosts: { db1: }
services:
  db: { ${entry} }
`
}

/** A head of any kind, and a good service. */
function file(head: string): string {
  return `${head}\nservices: { db: { hosts: db1, lsb: db } }\n`
}

const brokenFiles: [title: string, text: string, problems: string[]][] = [
  ['an empty file', '', ['1:1: expected a mapping of fleet, broker, hosts and services; found nothing']],
  [
    'only a comment',
    `# nothing yet
`,
    ['1:1: expected a mapping of fleet, broker, hosts and services; found nothing'],
  ],
  [
    'a list instead of a mapping',
    `- fleet: lists
`,
    ['1:1: expected a mapping of fleet, broker, hosts and services; found a list'],
  ],
  [
    'a bare word',
    `lists
`,
    ['1:1: expected a mapping of fleet, broker, hosts and services; found "lists"'],
  ],
  [
    'a tab as indentation',
    `fleet: lists
hosts:
	db1:
`,
    ['3:1: not valid YAML: tab characters must not be used in indentation'],
  ],
  [
    'an unclosed list',
    `fleet: lists
hosts: [db1
`,
    ['3:1: not valid YAML: indented too little; or a quote, [ or { before this is not closed'],
  ],
  [
    'an unclosed string',
    `fleet: "lists
`,
    ['2:1: not valid YAML: indented too little; or a quote, [ or { before this is not closed'],
  ],
  [
    'words that go on in the next line, where a key was meant',
    `    fleet: lists
  hosts:db1
  web1:
`,
    [
      '2:3: not valid YAML: this belongs to nothing before it; is it indented as what it belongs to, with a space after each colon?',
    ],
  ],
  [
    'two documents',
    `fleet: lists
---
fleet: other
`,
    ['2:1: not valid YAML: a fleet file is one document; remove the second'],
  ],
  [
    'bad indentation',
    `fleet: lists
  broker: local
`,
    ['2:9: not valid YAML: bad indentation of a mapping entry'],
  ],
  [
    'an alias without an anchor',
    atTop('defaults: *timings'),
    [
      '9:11: there is no anchor &timings before this alias',
      '9:11: defaults: expected a mapping of start_timeout, stop_timeout, settle; found nothing',
    ],
  ],
  ['a tag', atTop('defaults: !!timings {}'), ['9:11: unknown tag !!timings']],
  [
    'nesting without end',
    atTop(`defaults: ${'['.repeat(40)}${']'.repeat(40)}`),
    ['9:42: nested deeper than 32 levels'],
  ],
  [
    'a key given twice at the top',
    atTop('broker: local'),
    ['9:1: duplicate key "broker"; it is first given in line 2'],
  ],
  [
    'a key given twice in a service',
    inService('lsb: other'),
    ['9:5: duplicate key "lsb"; it is first given in line 8'],
  ],
  [
    'a service given twice',
    atTop('services: {}'),
    ['9:1: duplicate key "services"; it is first given in line 4'],
  ],
  [
    'files of TLS and a URL that does not ask for it',
    file('fleet: lists\nbroker: { url: amqp://a, tls: { ca: ca.pem } }\nhosts: { db1: }'),
    ['2:16: broker.url: expected a URL of amqps:// or natss://, as there are files of TLS; found "amqp:…"'],
  ],
  [
    'files of TLS and one URL of two that asks for it',
    file(
      'fleet: lists\nbroker: { url: [natss://a, nats://b], tls_on_hosts: { ca: ca.pem } }\nhosts: { db1: }',
    ),
    ['2:16: broker.url: expected a URL of amqps:// or natss://, as there are files of TLS; found a list'],
  ],
  [
    'a certificate without its key, and files of TLS that are none',
    file('fleet: lists\nbroker: { url: amqps://a, tls: { cert: a.pem }, tls_on_hosts: {} }\nhosts: { db1: }'),
    [
      '2:32: broker.tls: expected cert and key, or neither; found a mapping',
      '2:63: broker.tls_on_hosts: expected at least one of ca, cert, key; found an empty mapping',
    ],
  ],
  [
    'a broker with an unknown key and a file of no name',
    file(
      'fleet: lists\nbroker: { url: amqps://a, tsl: 1, tls: { ca: "", cert: 1, key: [] } }\nhosts: { db1: }',
    ),
    [
      '2:27: broker: unknown key "tsl"; did you mean "tls"?',
      '2:46: broker.tls.ca: expected the path of a file with certificates of authorities; found another string',
      '2:56: broker.tls.cert: expected the path of a file with a certificate; found the number 1',
      '2:64: broker.tls.key: expected the path of a file with a private key; found an empty list',
    ],
  ],
  ['an unknown key at the top', atTop('hsots: {}'), ['9:1: unknown key "hsots"; did you mean "hosts"?']],
  [
    'an unknown key that is near nothing',
    atTop('zzzzzzzz: 1'),
    ['9:1: unknown key "zzzzzzzz"; known: fleet, broker, secrets, hosts, defaults, services, stages'],
  ],
  [
    'a key called __proto__',
    atTop('__proto__: {}'),
    [
      '9:1: a key may not be called __proto__',
      '9:1: unknown key "__proto__"; known: fleet, broker, secrets, hosts, defaults, services, stages',
    ],
  ],
  [
    'no fleet name',
    file(`broker: local
hosts: { db1: }`),
    [
      '1:1: "fleet" is missing; expected the fleet\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit',
    ],
  ],
  [
    'no broker',
    file(`fleet: lists
hosts: { db1: }`),
    [
      '1:1: "broker" is missing; expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs',
    ],
  ],
  [
    'no hosts',
    file(`fleet: lists
broker: local`),
    ['1:1: "hosts" is missing; expected a mapping of host names'],
  ],
  [
    'no services',
    `fleet: lists
broker: local
hosts: { db1: }
`,
    ['1:1: "services" is missing; expected a mapping of service names'],
  ],
  [
    'a fleet name with a space',
    file(`fleet: my lists
broker: local
hosts: { db1: }`),
    [
      '1:8: fleet: expected the fleet\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found "my lists"',
    ],
  ],
  [
    'a fleet name that is a number',
    file(`fleet: 5
broker: local
hosts: { db1: }`),
    [
      '1:8: fleet: expected the fleet\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found the number 5',
    ],
  ],
  [
    'a fleet name of 64 letters',
    file(`fleet: ${'x'.repeat(64)}\nbroker: local\nhosts: { db1: }`),
    [
      '1:8: fleet: expected the fleet\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
    ],
  ],
  [
    'a broker with another scheme, and its password kept quiet',
    file(`fleet: lists
broker: http://filo:secret@broker
hosts: { db1: }`),
    [
      '2:9: broker: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found "http:…"',
    ],
  ],
  [
    'a broker that is no URL',
    file(`fleet: lists
broker: broker.example.net
hosts: { db1: }`),
    [
      '2:9: broker: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found another string',
    ],
  ],
  [
    'a broker that is a number',
    file(`fleet: lists
broker: 5672
hosts: { db1: }`),
    [
      '2:9: broker: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found the number 5672',
    ],
  ],
  [
    'an empty list of brokers',
    file(`fleet: lists
broker: []
hosts: { db1: }`),
    [
      '2:9: broker: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found an empty list',
    ],
  ],
  [
    'a list of brokers with local',
    file(`fleet: lists
broker: [amqp://a, local]
hosts: { db1: }`),
    [
      '2:20: broker[1]: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found another string',
    ],
  ],
  [
    'a list of brokers of two kinds',
    file(`fleet: lists
broker: [amqp://a, nats://b]
hosts: { db1: }`),
    ['2:9: broker: expected URLs of one kind, amqp or nats; found a list'],
  ],
  [
    'a broker that is empty',
    file(`fleet: lists
broker:
hosts: { db1: }`),
    [
      '2:1: broker: expected local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs; found nothing',
    ],
  ],
  [
    'hosts as a list',
    file(`fleet: lists
broker: local
hosts: [db1]`),
    ['3:8: hosts: expected a mapping of host names; found a list'],
  ],
  [
    'no host at all',
    file(`fleet: lists
broker: local
hosts: {}`),
    ['3:8: hosts: expected at least one host; found an empty mapping'],
  ],
  [
    'a host with a bad name',
    file(`fleet: lists
broker: local
hosts: { db1: , "web 1": }`),
    [
      '3:17: hosts: expected a host\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found "web 1"',
    ],
  ],
  [
    'a host that is a string',
    file(`fleet: lists
broker: local
hosts:
  db1: 10.0.0.1`),
    [
      '4:8: hosts.db1: expected nothing, or { labels, reboot, halt, reboot_timeout, halt_timeout, agent_user }; found "10.0.0.1"',
    ],
  ],
  [
    'a user for the agent where there is none',
    file(`fleet: lists
broker: local
hosts:
  db1: { agent_user: filo }`),
    [
      '4:10: hosts.db1.agent_user: with "broker: local" there is no agent, and filo itself does it all, as whoever called it; take it out, or name a broker',
    ],
  ],
  [
    'a host with an unknown key',
    file(`fleet: lists
broker: local
hosts:
  db1: { label: { role: db } }`),
    ['4:10: hosts.db1: unknown key "label"; did you mean "labels"?'],
  ],
  [
    'a label that is a number',
    file(`fleet: lists
broker: local
hosts:
  db1: { labels: { rack: 7 } }`),
    [
      "4:26: hosts.db1.labels.rack: expected a label's value, a string (put numbers and true or false in quotes); found the number 7",
    ],
  ],
  [
    'a label that is true',
    file(`fleet: lists
broker: local
hosts:
  db1: { labels: { ssd: true } }`),
    [
      "4:25: hosts.db1.labels.ssd: expected a label's value, a string (put numbers and true or false in quotes); found true",
    ],
  ],
  [
    'labels as a list',
    file(`fleet: lists
broker: local
hosts:
  db1: { labels: [db] }`),
    ['4:18: hosts.db1.labels: expected a mapping of labels to strings; found a list'],
  ],
  [
    'a label with a bad key',
    file(`fleet: lists
broker: local
hosts:
  db1: { labels: { "a=b": c } }`),
    [
      '4:20: hosts.db1.labels: expected the key of a label: 1 to 63 letters, digits, "-", "_", "." or "/"; found "a=b"',
    ],
  ],
  [
    'services as a list',
    `fleet: lists
broker: local
hosts: { db1: }
services: [db]
`,
    ['4:11: services: expected a mapping of service names; found a list'],
  ],
  [
    'no service at all',
    `fleet: lists
broker: local
hosts: { db1: }
services: {}
`,
    ['4:11: services: expected at least one service; found an empty mapping'],
  ],
  [
    'a service without anything',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  db:
`,
    ['5:3: services.db: expected a service: hosts, a manager, and what it needs; found nothing'],
  ],
  [
    'a service that is a string',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  db: postgresql
`,
    ['5:7: services.db: expected a service: hosts, a manager, and what it needs; found "postgresql"'],
  ],
  [
    'a service with a bad name',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  "db@1": { hosts: db1, lsb: db }
`,
    [
      '5:3: services: expected a service\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found "db@1"',
    ],
  ],
  [
    'a service without hosts',
    db('lsb: db'),
    ['5:3: services.db: "hosts" is missing; expected a host\'s name or a list of them'],
  ],
  [
    'an empty list of hosts',
    db('hosts: [], lsb: db'),
    ["5:16: services.db.hosts: expected a host's name or a list of them; found an empty list"],
  ],
  [
    'an unknown host',
    db('hosts: bd1, lsb: db'),
    ['5:16: services.db.hosts: there is no host "bd1"; did you mean "db1"?'],
  ],
  [
    'an unknown host in a list',
    db('hosts: [db1, elsewhere], lsb: db'),
    ['5:22: services.db.hosts[1]: there is no host "elsewhere"; known: db1'],
  ],
  [
    'a host given twice',
    db('hosts: [db1, db1], lsb: db'),
    ['5:22: services.db.hosts[1]: host "db1" is given twice'],
  ],
  [
    'a host that is a number',
    `fleet: lists
broker: local
hosts: { 1: }
services:
  db: { hosts: 1, lsb: db }
`,
    ["5:16: services.db.hosts: expected a host's name or a list of them; found the number 1"],
  ],
  [
    'no manager',
    db('hosts: db1'),
    [
      '5:3: services.db: no manager; expected one of systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis',
    ],
  ],
  [
    'two managers',
    inService('systemd: app.service'),
    ['8:5: services.app: two managers, systemd and lsb; expected one'],
  ],
  [
    'three managers',
    inService(`systemd: app.service
supervisord: app`),
    [
      '8:5: services.app: two managers, systemd and lsb; expected one',
      '10:5: services.app: two managers, systemd and supervisord; expected one',
    ],
  ],
  [
    'a manager that there is not',
    db('hosts: db1, monit: db'),
    [
      '5:3: services.db: no manager; expected one of systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis',
      '5:21: services.db: unknown key "monit"; the managers are systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis, the other keys hosts, needs, enough, keep, carries, ready, start_timeout, stop_timeout, settle, hooks',
    ],
  ],
  [
    'a misspelt manager',
    db('hosts: db1, systmd: db.service'),
    [
      '5:3: services.db: no manager; expected one of systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis',
      '5:21: services.db: unknown key "systmd"; did you mean "systemd"?',
    ],
  ],
  ['a misspelt key', inService('need: db'), ['9:5: services.app: unknown key "need"; did you mean "needs"?']],
  [
    'a manager without a value',
    db('hosts: db1, systemd:'),
    ['5:21: services.db.systemd: expected a systemd unit such as postgresql@15-main.service; found nothing'],
  ],
  [
    'a unit that would be an option',
    db('hosts: db1, systemd: --now'),
    ['5:30: services.db.systemd: expected a systemd unit such as postgresql@15-main.service; found "--now"'],
  ],
  [
    'a unit with a space',
    db('hosts: db1, systemd: a b.service'),
    [
      '5:30: services.db.systemd: expected a systemd unit such as postgresql@15-main.service; found "a b.service"',
    ],
  ],
  [
    'a script with a path',
    db('hosts: db1, lsb: /etc/init.d/db'),
    ['5:26: services.db.lsb: expected the name of a script in /etc/init.d; found "/etc/init.d/db"'],
  ],
  [
    'a script without a name',
    db('hosts: db1, lsb: { dir: /etc/init.d }'),
    ['5:21: services.db.lsb: "name" is missing; expected the name of a script in /etc/init.d'],
  ],
  [
    'a relative directory of scripts',
    db('hosts: db1, lsb: { name: db, dir: init.d }'),
    ['5:43: services.db.lsb.dir: expected the directory of the script, an absolute path; found "init.d"'],
  ],
  [
    'supervisord with both program and group',
    db('hosts: db1, supervisord: { program: a, group: b }'),
    ['5:34: services.db.supervisord: expected either program or group; found a mapping'],
  ],
  [
    'supervisord with neither',
    db('hosts: db1, supervisord: { together: true }'),
    ['5:34: services.db.supervisord: expected either program or group; found a mapping'],
  ],
  [
    'a group with its star',
    db('hosts: db1, supervisord: { group: "a:*" }'),
    ['5:43: services.db.supervisord.group: expected a group of supervisord, without ":*"; found "a:*"'],
  ],
  [
    'a relative socket',
    db('hosts: db1, supervisord: { program: a, socket: run/s.sock }'),
    [
      '5:56: services.db.supervisord.socket: expected the path of supervisord\'s socket, or its http:// address; found "run/s.sock"',
    ],
  ],
  [
    'together that is no boolean',
    db('hosts: db1, supervisord: { group: a, together: 1 }'),
    ['5:56: services.db.supervisord.together: expected true or false; found the number 1'],
  ],
  [
    'daemontools with a relative path',
    db('hosts: db1, daemontools: service/db'),
    [
      '5:34: services.db.daemontools: expected a service directory of daemontools: an absolute path, or a name in /service; found "service/db"',
    ],
  ],
  [
    'greenarrow with a part that it does not have',
    db('hosts: db1, greenarrow: http'),
    ['5:33: services.db.greenarrow: expected mta, postgres, or { part: mta | postgres, ... }; found "http"'],
  ],
  [
    'greenarrow without a part',
    db('hosts: db1, greenarrow: { apart: [hvmail-rpc] }'),
    [
      '5:21: services.db.greenarrow: "part" is missing; expected mta, postgres, or { part: mta | postgres, ... }',
    ],
  ],
  [
    "greenarrow's PostgreSQL with a key of its MTA",
    db('hosts: db1, greenarrow: { part: postgres, apart: [hvmail-rpc] }'),
    ['5:51: services.db.greenarrow: unknown key "apart"; did you mean "part"?'],
  ],
  [
    'greenarrow with a component that is no name',
    db('hosts: db1, greenarrow: { part: mta, expected_down: [hvmail rpc] }'),
    [
      '5:62: services.db.greenarrow.expected_down[0]: expected a list of components as `hvmail_init status` names them; found "hvmail rpc"',
    ],
  ],
  [
    'canopsis without a directory of scripts',
    db('hosts: db1, canopsis: { name: web, socket: /run/s.sock }'),
    [
      '5:21: services.db.canopsis: "dir" is missing; expected the directory of init scripts, an absolute path',
    ],
  ],
  [
    'canopsis with a star for a group',
    db('hosts: db1, canopsis: { name: "engines*", dir: /opt/init.d, socket: /run/s.sock }'),
    [
      '5:39: services.db.canopsis.name: expected a service of Canopsis: an init script, or a program or group of supervisord; found "engines*"',
    ],
  ],
  [
    'a shell string as a command',
    db('hosts: db1, command: /usr/bin/db start'),
    [
      '5:30: services.db.command: expected { start, stop, status }, each a program and its arguments; found "/usr/bin/db start"',
    ],
  ],
  [
    'a shell string as a start',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  db:
    hosts: db1
    command:
      start: /usr/bin/db start
      stop: [/usr/bin/db, stop]
`,
    [
      '8:14: services.db.command.start: expected a list of a program (an absolute path) and its arguments, at most 64; found "/usr/bin/db start"',
    ],
  ],
  [
    'a command without stop',
    db('hosts: db1, command: { start: [/usr/bin/db] }'),
    [
      '5:21: services.db.command: "stop" is missing; expected a list of a program (an absolute path) and its arguments, at most 64',
    ],
  ],
  [
    'a relative program',
    db('hosts: db1, command: { start: [bin/db], stop: [/bin/db] }'),
    ['5:40: services.db.command.start[0]: expected the program to run, an absolute path; found "bin/db"'],
  ],
  [
    'an empty command',
    db('hosts: db1, command: { start: [], stop: [/bin/db] }'),
    ['5:32: services.db.command.start: an item is missing; expected the program to run, an absolute path'],
  ],
  [
    'an argument that is a number',
    db('hosts: db1, command: { start: [/bin/sleep, 5], stop: [/bin/db] }'),
    [
      '5:52: services.db.command.start[1]: expected an argument, a string (put numbers in quotes); found the number 5',
    ],
  ],
  [
    'an argument that is empty',
    db('hosts: db1, command: { start: [/bin/db, ""], stop: [/bin/db] }'),
    ['5:49: services.db.command.start[1]: expected an argument that is not empty; found ""'],
  ],
  [
    '65 words',
    db(`hosts: db1, command: { start: [/bin/db${', a'.repeat(64)}], stop: [/bin/db] }`),
    [
      '5:39: services.db.command.start: expected a list of a program (an absolute path) and its arguments, at most 64; found a list',
    ],
  ],
  [
    'an unknown service in needs',
    inService('needs: database'),
    ['9:12: services.app.needs: there is no service "database"; known: db, app'],
  ],
  [
    'a misspelt service in a list of needs',
    inService('needs: [db, ap2]'),
    ['9:17: services.app.needs[1]: there is no service "ap2"; did you mean "app"?'],
  ],
  [
    'a misspelt service in an object',
    inService('needs: { service: bd }'),
    ['9:23: services.app.needs.service: there is no service "bd"; did you mean "db"?'],
  ],
  [
    'a need without a service',
    inService('needs: { scope: all }'),
    [
      '9:5: services.app.needs: "service" is missing; expected a service\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit',
    ],
  ],
  [
    'a need with an unknown key',
    inService('needs: { service: db, strenght: order }'),
    ['9:27: services.app.needs: unknown key "strenght"; did you mean "strength"?'],
  ],
  [
    'a bad scope',
    inService('needs: { service: db, scope: host }'),
    ['9:34: services.app.needs.scope: expected all or same-host; found "host"'],
  ],
  [
    'a bad strength',
    inService('needs: [{ service: db, strength: soft }]'),
    ['9:38: services.app.needs[0].strength: expected hard or order; found "soft"'],
  ],
  [
    'a need that is a number',
    inService('needs: 7'),
    [
      "9:12: services.app.needs: expected a service's name, { service, scope, strength }, or a list of these; found the number 7",
    ],
  ],
  [
    'a need that is nothing',
    inService('needs:'),
    [
      "9:5: services.app.needs: expected a service's name, { service, scope, strength }, or a list of these; found nothing",
    ],
  ],
  [
    'a need in a list that is a number',
    inService('needs: [db, 7]'),
    [
      "9:17: services.app.needs[1]: expected a service's name, { service, scope, strength }, or a list of these; found the number 7",
    ],
  ],
  [
    'a service needed twice',
    inService('needs: [db, { service: db, strength: order }]'),
    ['9:28: services.app.needs[1].service: "db" is needed twice'],
  ],
  [
    'same-host where it is not',
    inService('needs: { service: db, scope: same-host }'),
    ['9:34: services.app.needs: same-host, but "db" is not on web1'],
  ],
  ['a service that needs itself', inService('needs: app'), ['9:12: app needs itself']],
  [
    'enough of more than there are',
    inService('enough: 2'),
    ['9:13: services.app.enough: expected at most 1, its number of instances; found 2'],
  ],
  [
    'enough of none',
    inService('enough: 0'),
    ['9:13: services.app.enough: expected a whole number of instances, at least 1; found the number 0'],
  ],
  [
    'enough as a string',
    inService('enough: one'),
    ['9:13: services.app.enough: expected a whole number of instances, at least 1; found "one"'],
  ],
  [
    'enough as a fraction',
    inService('enough: 1.5'),
    ['9:13: services.app.enough: expected a whole number of instances, at least 1; found the number 1.5'],
  ],
  [
    'keep as yes, which is a string in YAML 1.2',
    inService('keep: yes'),
    ['9:11: services.app.keep: expected true or false; found "yes"'],
  ],
  [
    'carries something else',
    inService('carries: journal'),
    ['9:14: services.app.carries: expected broker, store, or a list of them; found "journal"'],
  ],
  [
    'carries an empty list',
    inService('carries: []'),
    ['9:14: services.app.carries: expected broker, store, or a list of them; found an empty list'],
  ],
  [
    'ready without a probe',
    inService('ready: {}'),
    ['9:12: services.app.ready: expected at least one of tcp, http, command; found an empty mapping'],
  ],
  [
    'ready as a string',
    inService('ready: 127.0.0.1:80'),
    ['9:12: services.app.ready: expected { tcp | http | command }; found "127.0.0.1:80"'],
  ],
  [
    'a tcp probe without a port',
    inService('ready: { tcp: localhost }'),
    [
      '9:19: services.app.ready.tcp: expected host:port, such as 127.0.0.1:5432 or [::1]:5432; found "localhost"',
    ],
  ],
  [
    'a tcp probe with a port too high',
    inService('ready: { tcp: "localhost:70000" }'),
    ['9:19: services.app.ready.tcp: expected a port from 1 to 65535; found "localhost:70000"'],
  ],
  [
    'a tcp probe that is a port only',
    inService('ready: { tcp: 80 }'),
    [
      '9:19: services.app.ready.tcp: expected host:port, such as 127.0.0.1:5432 or [::1]:5432; found the number 80',
    ],
  ],
  [
    'an http probe with another scheme',
    inService('ready: { http: ftp://localhost/ }'),
    ['9:20: services.app.ready.http: expected a URL with http:// or https://; found "ftp://localhost/"'],
  ],
  [
    'a command probe that is relative',
    inService('ready: { command: [curl, localhost] }'),
    ['9:24: services.app.ready.command[0]: expected the program to run, an absolute path; found "curl"'],
  ],
  [
    'an unknown probe',
    inService('ready: { udp: "localhost:53" }'),
    [
      '9:12: services.app.ready: expected at least one of tcp, http, command; found a mapping',
      '9:14: services.app.ready: unknown key "udp"; known: tcp, http, command',
    ],
  ],
  [
    'a timeout without a unit',
    inService('stop_timeout: 90'),
    [
      '9:19: services.app.stop_timeout: expected a duration such as 500ms, 90s, 3m or 2h; found the number 90',
    ],
  ],
  [
    'a timeout with a wrong unit',
    inService('stop_timeout: 90 sec'),
    ['9:19: services.app.stop_timeout: expected a duration such as 500ms, 90s, 3m or 2h; found "90 sec"'],
  ],
  [
    'a timeout of nothing',
    inService('start_timeout: 0s'),
    ['9:20: services.app.start_timeout: expected a duration of 1ms to 24h; found "0s"'],
  ],
  [
    'a timeout of two days',
    inService('start_timeout: 48h'),
    ['9:20: services.app.start_timeout: expected a duration of 1ms to 24h; found "48h"'],
  ],
  [
    'a negative timeout',
    inService('stop_timeout: -5s'),
    ['9:19: services.app.stop_timeout: expected a duration such as 500ms, 90s, 3m or 2h; found "-5s"'],
  ],
  [
    'a settle too long',
    inService('settle: 2h'),
    ['9:13: services.app.settle: expected a duration of at most 1h; found "2h"'],
  ],
  [
    'an unknown timing',
    inService('timeout: 5s'),
    [
      '9:5: services.app: unknown key "timeout"; the managers are systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis, the other keys hosts, needs, enough, keep, carries, ready, start_timeout, stop_timeout, settle, hooks',
    ],
  ],
  [
    'a default without a unit',
    atTop('defaults: { settle: 1 }'),
    ['9:21: defaults.settle: expected a duration such as 500ms, 90s, 3m or 2h; found the number 1'],
  ],
  [
    'an unknown default',
    atTop('defaults: { start_timout: 5s }'),
    ['9:13: defaults: unknown key "start_timout"; did you mean "start_timeout"?'],
  ],
  [
    'defaults as a string',
    atTop('defaults: 90s'),
    ['9:11: defaults: expected a mapping of start_timeout, stop_timeout, settle; found "90s"'],
  ],
  [
    'hooks as a list',
    inService('hooks: [/bin/x]'),
    [
      '9:12: services.app.hooks: expected a mapping of before_stop, after_stop, before_start, after_start; found a list',
    ],
  ],
  [
    'a hook at a point that there is not',
    inService('hooks: { on_stop: { run: [/bin/x] } }'),
    [
      '9:14: services.app.hooks: unknown key "on_stop"; known: before_stop, after_stop, before_start, after_start',
    ],
  ],
  [
    'a hook without run',
    inService('hooks: { after_stop: { timeout: 5s } }'),
    [
      '9:14: services.app.hooks.after_stop: "run" is missing; expected a list of a program (an absolute path) and its arguments, at most 64',
    ],
  ],
  [
    'a hook with a shell string',
    inService('hooks: { after_stop: { run: /bin/x --y } }'),
    [
      '9:33: services.app.hooks.after_stop.run: expected a list of a program (an absolute path) and its arguments, at most 64; found "/bin/x --y"',
    ],
  ],
  [
    'a hook with a relative program',
    inService('hooks: { after_stop: { run: [x] } }'),
    ['9:34: services.app.hooks.after_stop.run[0]: expected the program to run, an absolute path; found "x"'],
  ],
  [
    'a hook with a relative check',
    inService('hooks: { after_stop: { run: [/bin/x], check: [y] } }'),
    [
      '9:51: services.app.hooks.after_stop.check[0]: expected the program to run, an absolute path; found "y"',
    ],
  ],
  [
    'a hook with a bad timeout',
    inService('hooks: { after_stop: { run: [/bin/x], timeout: 5 } }'),
    [
      '9:52: services.app.hooks.after_stop.timeout: expected a duration such as 500ms, 90s, 3m or 2h; found the number 5',
    ],
  ],
  [
    'a hook on an unknown host',
    inService('hooks: { after_stop: { run: [/bin/x], host: web2 } }'),
    ['9:49: services.app.hooks.after_stop.host: there is no host "web2"; did you mean "web1"?'],
  ],
  [
    'stages as a mapping',
    atTop('stages: { back: [db] }'),
    [
      '9:9: stages: expected a list of stages such as [{ backend: [database] }, { frontend: [nginx] }]; found a mapping',
    ],
  ],
  [
    'a stage that is a name',
    atTop('stages: [back]'),
    ['9:10: stages[0]: expected a stage such as { backend: [database] }; found "back"'],
  ],
  [
    'two stages in one',
    atTop('stages: [{ back: [db], front: [app] }]'),
    ['9:10: stages[0]: expected one stage such as { backend: [database] }; found a mapping'],
  ],
  [
    'a stage without services',
    atTop('stages: [{ back: [] }]'),
    ["9:18: stages[0].back: expected a service's name or a list of them; found an empty list"],
  ],
  [
    'an unknown service in a stage',
    atTop('stages: [{ back: [dbb] }]'),
    ['9:19: stages[0].back[0]: there is no service "dbb"; did you mean "db"?'],
  ],
  [
    'a service in two stages',
    atTop('stages: [{ back: [db] }, { middle: [app] }, { front: [db] }]'),
    ['9:55: stages[2].front[0]: "db" is already in stage "back"'],
  ],
  [
    'a stage given twice',
    atTop('stages: [{ back: [db] }, { back: [app] }]'),
    ['9:28: stages[1].back: stage "back" is given twice'],
  ],
  [
    'a stage with a bad name',
    atTop('stages: [{ "back end": [db] }]'),
    [
      '9:12: stages[0]: expected a stage\'s name: 1 to 63 letters, digits, "-", "_" or ".", from a letter or digit to a letter or digit; found "back end"',
    ],
  ],
  [
    'a cycle of two',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  a: { hosts: db1, lsb: a, needs: b }
  b: { hosts: db1, lsb: b, needs: [a] }
`,
    ['5:35: a cycle of needs: a needs b (filo.yaml:5:35) needs a (filo.yaml:6:36)'],
  ],
  [
    'a cycle through a service that also needs what there is not',
    `fleet: lists
broker: local
hosts: { h1: }
services:
  a: { hosts: h1, lsb: a, needs: [nothing, b] }
  b: { hosts: h1, lsb: b, needs: a }
`,
    [
      '5:35: services.a.needs[0]: there is no service "nothing"; known: a, b',
      '5:44: a cycle of needs: a needs b (filo.yaml:5:44) needs a (filo.yaml:6:34)',
    ],
  ],
  [
    'a cycle of three, with an order in it',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  a: { hosts: db1, lsb: a, needs: b }
  b: { hosts: db1, lsb: b, needs: { service: c, strength: order } }
  c: { hosts: db1, lsb: c, needs: [a] }
`,
    ['5:35: a cycle of needs: a needs b (filo.yaml:5:35) needs c (filo.yaml:6:35) needs a (filo.yaml:7:36)'],
  ],
  [
    'a cycle through stages',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  a: { hosts: db1, lsb: a, needs: b }
  b: { hosts: db1, lsb: b }
stages: [{ back: [a] }, { front: [b] }]
`,
    ['5:35: a cycle of needs: a needs b (filo.yaml:5:35) needs a (filo.yaml:7:35)'],
  ],
  [
    'a long string, of which the beginning is enough',
    db(`hosts: db1, lsb: db, keep: ${'x'.repeat(90)}`),
    [`5:36: services.db.keep: expected true or false; found "${'x'.repeat(80)}…"`],
  ],
  [
    'a stage of what is not there, in a file with another fault',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  db: { hosts: db1, lsb: db, keep: no }
stages: [{ back: [dq] }, front]
`,
    [
      '5:36: services.db.keep: expected true or false; found "no"',
      '6:19: stages[0].back[0]: there is no service "dq"; known: db',
      '6:26: stages[1]: expected a stage such as { backend: [database] }; found "front"',
    ],
  ],
  [
    'faults in several places, in the order of the file',
    `fleet: lists
broker: local
hosts: { db1: }
services:
  a: { hosts: db2, lsb: a, keep: no }
  b: { hosts: db1, needs: c }
stges: []
`,
    [
      '5:15: services.a.hosts: there is no host "db2"; did you mean "db1"?',
      '5:34: services.a.keep: expected true or false; found "no"',
      '6:3: services.b: no manager; expected one of systemd, lsb, supervisord, daemontools, command, greenarrow, canopsis',
      '6:27: services.b.needs: there is no service "c"; known: a, b',
      '7:1: unknown key "stges"; did you mean "stages"?',
    ],
  ],
]

test('there are at least a hundred of them, each with a name of its own', () => {
  expect(new Set(brokenFiles.map(([title]) => title)).size).toBe(brokenFiles.length)
  expect(brokenFiles.length).toBeGreaterThanOrEqual(100)
})

test.each(brokenFiles)('%s is refused with place, fault and what was expected', (_, text, problems) => {
  const parsed = parseFleet(text, 'filo.yaml')
  if (parsed.kind !== 'refused') throw new Error('the file was accepted')
  expect(parsed.problems.map(formatProblem)).toEqual(problems.map((problem) => `filo.yaml:${problem}`))
})
