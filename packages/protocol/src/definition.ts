import * as z from 'zod'
import { Name } from './names.ts'

/** Milliseconds. A bound far above any real service keeps arithmetic and timers exact. */
const Milliseconds = z
  .int()
  .nonnegative()
  .max(24 * 3600 * 1000)

/** A program and its arguments, never a shell string. The program is an absolute path. */
export const Argv = z.array(z.string().min(1)).min(1).max(64)
export type Argv = z.infer<typeof Argv>

export const SystemdDefinition = z.strictObject({ kind: z.literal('systemd'), unit: z.string().min(1) })
export type SystemdDefinition = z.infer<typeof SystemdDefinition>

export const LsbDefinition = z.strictObject({
  kind: z.literal('lsb'),
  name: z.string().min(1),
  /** Where the script stands. */
  dir: z.string().default('/etc/init.d'),
})
export type LsbDefinition = z.infer<typeof LsbDefinition>

export const SupervisordDefinition = z
  .strictObject({
    kind: z.literal('supervisord'),
    /** One program, as supervisorctl names it: `name` or `group:name`. */
    program: z.string().min(1).optional(),
    /** All programs of a group, as `group:*` names them. */
    group: z.string().min(1).optional(),
    /** supervisord's own socket (`[unix_http_server] file=`), or an http:// address (`[inet_http_server]`). */
    socket: z.string().default('/run/supervisor.sock'),
    username: z.string().optional(),
    password: z.string().optional(),
    /** A group's programs all at once, rather than in series in order of priority. */
    together: z.boolean().default(false),
  })
  .refine((definition) => (definition.program === undefined) !== (definition.group === undefined), {
    error: 'either program or group',
  })
export type SupervisordDefinition = z.infer<typeof SupervisordDefinition>

export const CommandDefinition = z.strictObject({
  kind: z.literal('command'),
  start: Argv,
  stop: Argv,
  /** Answers by the exit codes that LSB gives `status`. Without it the state is always unknown. */
  status: Argv.optional(),
})
export type CommandDefinition = z.infer<typeof CommandDefinition>

export const DaemontoolsDefinition = z.strictObject({
  kind: z.literal('daemontools'),
  /** The service directory, as svc and svstat are given it. */
  service: z.string().startsWith('/'),
})
export type DaemontoolsDefinition = z.infer<typeof DaemontoolsDefinition>

const Components = z.array(z.string().min(1)).max(64)

// The defaults are what GreenArrow's manual shows.
const GreenarrowMta = z.strictObject({
  kind: z.literal('greenarrow'),
  part: z.literal('mta'),
  hvmailInit: z.string().startsWith('/').default('/var/hvmail/bin/hvmail_init'),
  /** Components that may be DOWN while the MTA runs. */
  expectedDown: Components.default(['hvmail-dnscache', 'hvmail-qmail-smtpd3']),
  /** Components that are started and stopped by other means: the MTA's state does not depend on theirs. */
  apart: Components.default(['hvmail-httpd', 'hvmail-postgres', 'hvmail-studio-worker']),
  /** The service directory of the disk queue's qmail-send, which lives on after the MTA's stop. */
  diskQueue: z.string().startsWith('/').default('/service/hvmail-disk-qmail-send'),
  /** How long a stop waits for the disk queue. Longer is harmless, and said. */
  diskQueueWaitMs: Milliseconds.default(60_000),
})
export type GreenarrowMta = z.infer<typeof GreenarrowMta>

const GreenarrowPostgres = z.strictObject({
  kind: z.literal('greenarrow'),
  part: z.literal('postgres'),
  postgresManager: z.string().startsWith('/').default('/var/hvmail/bin/hvmail_postgres_manager'),
  /** Only asked for its status. */
  hvmailInit: z.string().startsWith('/').default('/var/hvmail/bin/hvmail_init'),
  /** PostgreSQL's own row in that status. */
  component: z.string().min(1).default('hvmail-postgres'),
})
export type GreenarrowPostgres = z.infer<typeof GreenarrowPostgres>

/** A part of GreenArrow Engine that has commands of its own. Its HTTP server is a daemontools service. */
export const GreenarrowDefinition = z.discriminatedUnion('part', [GreenarrowMta, GreenarrowPostgres])
export type GreenarrowDefinition = z.infer<typeof GreenarrowDefinition>

/** A service of Canopsis: an LSB script where there is one of that name, else a program or group of supervisord. */
export const CanopsisDefinition = z.strictObject({
  kind: z.literal('canopsis'),
  name: z.string().min(1),
  /** `~/etc/init.d` of the user that Canopsis runs as. */
  dir: z.string().startsWith('/'),
  /** As in the definition of a supervisord service. */
  socket: z.string().min(1),
  username: z.string().optional(),
  password: z.string().optional(),
  /** A group's programs all at once (`mstart`, `mstop`), rather than in series. */
  together: z.boolean().default(false),
})
export type CanopsisDefinition = z.infer<typeof CanopsisDefinition>

/** Everything that says how one manager runs one service. */
export const ManagerDefinition = z.discriminatedUnion('kind', [
  SystemdDefinition,
  LsbDefinition,
  SupervisordDefinition,
  DaemontoolsDefinition,
  CommandDefinition,
  GreenarrowDefinition,
  CanopsisDefinition,
])
export type ManagerDefinition = z.infer<typeof ManagerDefinition>

export const ManagerKind = z.enum([
  'systemd',
  'lsb',
  'supervisord',
  'daemontools',
  'command',
  'greenarrow',
  'canopsis',
])
export type ManagerKind = z.infer<typeof ManagerKind>

/** Proof of readiness beyond the manager's word; all that are given must pass. */
export const ReadyDefinition = z.strictObject({
  /** `host:port` that accepts a connection. */
  tcp: z.string().optional(),
  /** A URL that answers 2xx. */
  http: z.url().optional(),
  /** A command that exits 0. */
  command: Argv.optional(),
})
export type ReadyDefinition = z.infer<typeof ReadyDefinition>

/** What an agent knows of a service. Commands name it by service and digest; nothing of it ever travels in one. */
export const ServiceDefinition = z.strictObject({
  service: Name,
  manager: ManagerDefinition,
  ready: ReadyDefinition.optional(),
  startTimeoutMs: Milliseconds,
  stopTimeoutMs: Milliseconds,
  /** A state must hold this long before it counts. */
  settleMs: Milliseconds,
})
export type ServiceDefinition = z.infer<typeof ServiceDefinition>

export const HookPoint = z.enum(['before_stop', 'after_stop', 'before_start', 'after_start'])
export type HookPoint = z.infer<typeof HookPoint>

/** A hook among the definitions of a host: `service:point`. */
export function hookName(service: string, at: HookPoint): string {
  return `${service}:${at}`
}

/** A command that runs around a step of a service, on the service's host or on another. */
export const HookDefinition = z.strictObject({
  service: Name,
  at: HookPoint,
  run: Argv,
  timeoutMs: Milliseconds,
  /** Exits 0 when the hook's work is done: then an interrupted hook need not wait for the operator. */
  check: Argv.optional(),
})
export type HookDefinition = z.infer<typeof HookDefinition>

/** How a host is rebooted and halted. */
export const PowerDefinition = z.strictObject({
  reboot: Argv,
  halt: Argv,
  /** How long it may take from the command until the agent answers from the next boot. */
  rebootTimeoutMs: Milliseconds,
  /** How long it may take from the command until the host is gone. */
  haltTimeoutMs: Milliseconds,
})
export type PowerDefinition = z.infer<typeof PowerDefinition>

/** The power of a host among its definitions: no name of a service or hook. */
export const powerName = ':power'

/** A host's slice of the fleet: all that its agent acts on. */
export const HostDefinition = z.strictObject({
  fleet: Name,
  host: Name,
  services: z.array(ServiceDefinition),
  hooks: z.array(HookDefinition),
  /** Absent where the host is not rebooted or halted by this agent. */
  power: PowerDefinition.optional(),
})
export type HostDefinition = z.infer<typeof HostDefinition>
