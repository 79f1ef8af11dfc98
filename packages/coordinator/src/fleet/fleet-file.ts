import { asksForTls } from '@filo/protocol'
import * as z from 'zod'
import { managers } from './manager-schema.ts'
import { argv, duration, mapping, name, oneOrMany } from './schema-parts.ts'

// The schema of filo.yaml as it is written, before defaults and references. The JSON Schema that editors use is
// generated from it.

// ---- services -------------------------------------------------------------------------------------------------

const timeout = () => duration(1, '24h')
const settle = () =>
  duration(0, '1h').meta({
    description: 'How long a state must hold before it counts. 1s for systemd, 0s for the others.',
  })

const tcpError = 'host:port, such as 127.0.0.1:5432 or [::1]:5432'
const Ready = mapping('{ tcp | http | command }', {
  tcp: z
    .string({ error: tcpError })
    .regex(/^(?:[^\s:[\]/]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/, { error: tcpError, abort: true })
    .refine((text) => isPort(text.slice(text.lastIndexOf(':') + 1)), { error: 'a port from 1 to 65535' })
    .optional()
    .meta({ description: 'host:port that accepts a connection.' }),
  http: z
    .url({ protocol: /^https?$/, error: 'a URL with http:// or https://' })
    .optional()
    .meta({ description: 'A URL that answers 2xx.' }),
  command: argv().optional().meta({ description: 'A command that exits 0.' }),
}).refine((entry) => Object.values(entry).some((probe) => probe !== undefined), {
  error: 'at least one of tcp, http, command',
})

function isPort(digits: string): boolean {
  const port = Number.parseInt(digits, 10)
  return port >= 1 && port <= 65_535
}

const needError = "a service's name, { service, scope, strength }, or a list of these"
const NeedEntry = mapping(needError, {
  service: name("a service's name").meta({ description: 'The service that is needed.' }),
  scope: z.enum(['all', 'same-host'], { error: 'all or same-host' }).optional().meta({
    description: 'all (the default): all instances, or enough of them; same-host: the one on the same host.',
  }),
  strength: z.enum(['hard', 'order'], { error: 'hard or order' }).optional().meta({
    description: 'hard (the default) is proven; order only orders steps that both are in the plan.',
  }),
})
export type NeedEntry = z.infer<typeof NeedEntry>

const Hook = mapping('{ run, timeout, check, host }', {
  run: argv().meta({ description: 'The program and its arguments.' }),
  timeout: timeout().optional().meta({ description: 'How long it may take; 30s where absent.' }),
  check: argv().optional().meta({
    description: 'Exits 0 when the work of the hook is done. Without it an interrupted hook waits for you.',
  }),
  host: name("a host's name")
    .optional()
    .meta({ description: 'Where the hook runs; on the host of the instance where absent.' }),
})
export type HookEntry = z.infer<typeof Hook>

const Cargo = z.enum(['broker', 'store'], { error: 'broker, store, or a list of them' })

const timings = () => ({
  start_timeout: timeout().optional().meta({ description: 'How long a start may take; 90s where absent.' }),
  stop_timeout: timeout().optional().meta({ description: 'How long a stop may take; 90s where absent.' }),
  settle: settle().optional(),
})

export const ServiceEntry = mapping('a service: hosts, a manager, and what it needs', {
  hosts: oneOrMany(name("a host's name"), "a host's name or a list of them").meta({
    description: 'The host or hosts that it runs on.',
  }),
  systemd: managers.systemd.optional(),
  lsb: managers.lsb.optional(),
  supervisord: managers.supervisord.optional(),
  daemontools: managers.daemontools.optional(),
  command: managers.command.optional(),
  greenarrow: managers.greenarrow.optional(),
  canopsis: managers.canopsis.optional(),
  needs: z
    .union(
      [
        name("a service's name"),
        NeedEntry,
        z.array(z.union([name("a service's name"), NeedEntry], { error: needError })),
      ],
      {
        error: needError,
      },
    )
    .optional()
    .meta({ description: 'Services that start before this one and stop after it.' }),
  enough: z
    .int({ error: 'a whole number of instances, at least 1' })
    .min(1, { error: 'a whole number of instances, at least 1' })
    .optional()
    .meta({ description: 'How many running instances satisfy those who need it; all where absent.' }),
  keep: z
    .boolean({ error: 'true or false' })
    .optional()
    .meta({ description: 'true: a stop that does not name the service leaves it alone.' }),
  carries: oneOrMany(Cargo, 'broker, store, or a list of them').optional().meta({
    description: 'What of Filo itself lives in this service; it is not stopped while Filo uses it.',
  }),
  ready: Ready.optional().meta({
    description: "Proof of readiness beyond the manager's word; all that are given must pass.",
  }),
  ...timings(),
  hooks: mapping('a mapping of before_stop, after_stop, before_start, after_start', {
    before_stop: Hook.optional().meta({
      description: 'Runs before the stop is asked for; the stop waits for it.',
    }),
    after_stop: Hook.optional().meta({
      description: 'Runs when the stop is proven; whoever waits for the stop waits for it too.',
    }),
    before_start: Hook.optional().meta({
      description: 'Runs before the start is asked for; the start waits for it.',
    }),
    after_start: Hook.optional().meta({
      description: 'Runs when the start is proven; whoever waits for the start waits for it too.',
    }),
  })
    .optional()
    .meta({ description: 'Programs that run around a start or a stop, as steps of their own.' }),
})
export type ServiceEntry = z.infer<typeof ServiceEntry>

// ---- the file -------------------------------------------------------------------------------------------------

const labelKeyError = 'the key of a label: 1 to 63 letters, digits, "-", "_", "." or "/"'
const labelError = "a label's value, a string (put numbers and true or false in quotes)"
const userError = "a user's name other than root, such as filo"
export const HostEntry = mapping(
  'nothing, or { labels, reboot, halt, reboot_timeout, halt_timeout, agent_user }',
  {
    labels: z
      .record(
        z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/, { error: labelKeyError }),
        z.string({ error: labelError }).max(200, { error: "a label's value of at most 200 characters" }),
        { error: 'a mapping of labels to strings' },
      )
      .optional()
      .meta({ description: 'What the host can be selected by: --label role=db.' }),
    reboot: argv().optional().meta({ description: 'Reboots the host; /bin/systemctl reboot where absent.' }),
    halt: argv().optional().meta({ description: 'Halts the host; /bin/systemctl poweroff where absent.' }),
    reboot_timeout: timeout().optional().meta({
      description: 'How long a reboot may take until the agent answers again; 10m where absent.',
    }),
    halt_timeout: timeout().optional().meta({
      description: 'How long a halt may take until the host is gone; 5m where absent.',
    }),
    agent_user: z
      .string({ error: userError })
      .regex(/^[a-z_][a-z0-9_-]{0,31}$/, { error: userError })
      .refine((user) => user !== 'root', { error: userError })
      .optional()
      .meta({
        description:
          'The user that its agent runs as, which then does by sudo what needs root (filo agent-config HOST --sudoers); root where absent.',
      }),
  },
).nullable()
export type HostEntry = z.infer<typeof HostEntry>

export const StageEntry = z
  .record(name("a stage's name"), oneOrMany(name("a service's name"), "a service's name or a list of them"), {
    error: 'a stage such as { backend: [database] }',
  })
  .refine((stage) => Object.keys(stage).length === 1, { error: 'one stage such as { backend: [database] }' })
export type StageEntry = z.infer<typeof StageEntry>

const brokerError = 'local, or a URL of amqp(s):// or nats(s)://, or a list of such URLs'
const brokerUrl = z.url({ protocol: /^(amqp|nats)s?$/, error: brokerError })
const isOneKind = (urls: readonly string[]) =>
  !(urls.some((url) => url.startsWith('amqp')) && urls.some((url) => url.startsWith('nats')))

const brokerUrls = z.union(
  [
    brokerUrl,
    z
      .array(brokerUrl, { error: brokerError })
      .min(1, { error: brokerError })
      .refine(isOneKind, { error: 'URLs of one kind, amqp or nats' }),
  ],
  { error: brokerError },
)

const pem = (what: string) => {
  const error = `the path of ${what}`
  return z.string({ error }).regex(/./, { error })
}
const tlsFiles = () =>
  mapping('{ ca, cert, key }', {
    ca: pem('a file with certificates of authorities').optional().meta({
      description:
        "Authorities (PEM), one of which signed the broker's certificate; those that Node knows where absent.",
    }),
    cert: pem('a file with a certificate').optional().meta({
      description:
        'The certificate (PEM) that the broker is shown, and what comes between it and its authority.',
    }),
    key: pem('a file with a private key').optional().meta({ description: 'Its private key (PEM).' }),
  })
    .refine((files) => (files.cert === undefined) === (files.key === undefined), {
      error: 'cert and key, or neither',
    })
    .refine((files) => Object.values(files).some((file) => file !== undefined), {
      error: 'at least one of ca, cert, key',
    })
const BrokerEntry = mapping('{ url, tls, tls_on_hosts }', {
  url: brokerUrls.meta({ description: 'Where the broker is: a URL, or a list of them.' }),
  tls: tlsFiles().optional().meta({
    description:
      'The files of TLS here, relative to this file; and on each host, where nothing else is said of those.',
  }),
  tls_on_hosts: tlsFiles().optional().meta({
    description: "The files of TLS on each host, relative to its agent's configuration.",
  }),
}).refine(
  ({ url, tls, tls_on_hosts: onHosts }) => (tls ?? onHosts) === undefined || [url].flat().every(asksForTls),
  {
    error: 'a URL of amqps:// or natss://, as there are files of TLS',
    path: ['url'],
  },
)

const secretsError = 'the path of a file, from the root'
const notEmpty = (value: object) => Object.keys(value).length > 0

export const FleetFile = mapping('a mapping of fleet, broker, hosts and services', {
  fleet: name("the fleet's name").meta({ description: 'The name of the fleet.' }),
  broker: z
    .union([z.literal('local', { error: brokerError }), ...brokerUrls.options, BrokerEntry], {
      error: brokerError,
    })
    .meta({
      description: 'Where agents and coordinator meet; local: every host is this machine, in this process.',
    }),
  secrets: z.string({ error: secretsError }).regex(/^\/./, { error: secretsError }).optional().meta({
    description: 'A file on each host with one secret a line: none of them is kept, sent or shown.',
  }),
  hosts: z
    .record(name("a host's name"), HostEntry, { error: 'a mapping of host names' })
    .refine(notEmpty, { error: 'at least one host' })
    .meta({ description: 'The hosts, each with one agent.' }),
  defaults: mapping('a mapping of start_timeout, stop_timeout, settle', timings())
    .optional()
    .meta({ description: 'Timings of all services that do not say otherwise.' }),
  services: z
    .record(name("a service's name"), ServiceEntry, { error: 'a mapping of service names' })
    .refine(notEmpty, { error: 'at least one service' })
    .meta({ description: 'What is started and stopped.' }),
  stages: z
    .array(StageEntry, { error: 'a list of stages such as [{ backend: [database] }, { frontend: [nginx] }]' })
    .optional()
    .meta({ description: 'Shorthand: every service of a stage needs all services of the stage before.' }),
})
export type FleetFile = z.infer<typeof FleetFile>
