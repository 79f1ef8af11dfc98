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

/** Everything that says how one manager runs one service. */
export const ManagerDefinition = z.discriminatedUnion('kind', [
  SystemdDefinition,
  LsbDefinition,
  SupervisordDefinition,
  CommandDefinition,
])
export type ManagerDefinition = z.infer<typeof ManagerDefinition>

export const ManagerKind = z.enum(['systemd', 'lsb', 'supervisord', 'command'])
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

/** A host's slice of the fleet: all that its agent acts on. */
export const HostDefinition = z.strictObject({
  fleet: Name,
  host: Name,
  services: z.array(ServiceDefinition),
  hooks: z.array(HookDefinition),
})
export type HostDefinition = z.infer<typeof HostDefinition>
