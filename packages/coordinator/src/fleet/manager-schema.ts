import * as z from 'zod'
import { absolutePath, argv, duration, mapping } from './schema-parts.ts'

// How the fleet file says which manager runs a service. One key and one schema for each.

const unitError = 'a systemd unit such as postgresql@15-main.service'
const Systemd = z
  .string({ error: unitError })
  .regex(/^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}$/, { error: unitError })
  .meta({ description: 'The systemd unit. A name without a suffix is a .service.' })

const scriptError = 'the name of a script in /etc/init.d'
const scriptName = z
  .string({ error: scriptError })
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/, { error: scriptError })
const Lsb = z
  .union(
    [
      scriptName,
      mapping('the name of an init script, or { name, dir }', {
        name: scriptName.meta({ description: 'The name of the init script.' }),
        dir: absolutePath('the directory of the script')
          .optional()
          .meta({ description: 'Where the script stands; /etc/init.d where absent.' }),
      }),
    ],
    { error: 'the name of an init script, or { name, dir }' },
  )
  .meta({ description: 'An LSB init script: start, stop, status.' })

const programError = 'a program of supervisord, as supervisorctl names it: name or group:name'
const programName = z
  .string({ error: programError })
  .regex(/^[^\s:*]+(?::[^\s:*]+)?$/, { error: programError })
const groupError = 'a group of supervisord, without ":*"'
const groupName = z.string({ error: groupError }).regex(/^[^\s:*]+$/, { error: groupError })
const socketError = "the path of supervisord's socket, or its http:// address"
/** How to reach a supervisord. */
const access = {
  username: z.string({ error: 'a string' }).optional().meta({ description: 'For the http:// address.' }),
  password: z.string({ error: 'a string' }).optional().meta({ description: 'For the http:// address.' }),
}
const socketOf = () => z.string({ error: socketError }).regex(/^(?:\/|https?:\/\/)/, { error: socketError })
const together = z
  .boolean({ error: 'true or false' })
  .optional()
  .meta({ description: "A group's programs all at once, rather than in order of priority." })
const supervisordError = 'a program, or { program | group, socket, username, password, together }'
const Supervisord = z
  .union(
    [
      programName,
      mapping(supervisordError, {
        program: programName.optional().meta({ description: 'One program: name or group:name.' }),
        group: groupName.optional().meta({ description: 'All programs of a group.' }),
        socket: socketOf().optional().meta({
          description: "supervisord's socket or http:// address; /run/supervisor.sock where absent.",
        }),
        ...access,
        together,
      }).refine((entry) => (entry.program === undefined) !== (entry.group === undefined), {
        error: 'either program or group',
      }),
    ],
    { error: supervisordError },
  )
  .meta({ description: 'A program or a group of programs under supervisord.' })

const daemontoolsError = 'a service directory of daemontools: an absolute path, or a name in /service'
const Daemontools = z
  .string({ error: daemontoolsError })
  .regex(/^(?:\/\S*|[A-Za-z0-9_][A-Za-z0-9_.+-]*)$/, { error: daemontoolsError })
  .meta({ description: 'A service directory of daemontools. A name without a slash stands in /service.' })

const componentsError = 'a list of components as `hvmail_init status` names them'
const componentName = z
  .string({ error: componentsError })
  .regex(/^[a-z][A-Za-z0-9_.-]*$/, { error: componentsError })
const components = () => z.array(componentName, { error: componentsError }).optional()
const hvmailInit = absolutePath('the program hvmail_init')
  .optional()
  .meta({ description: '/var/hvmail/bin/hvmail_init where absent.' })
const greenarrowError = 'mta, postgres, or { part: mta | postgres, ... }'
const Greenarrow = z
  .union(
    [
      z.enum(['mta', 'postgres'], { error: greenarrowError }),
      z.discriminatedUnion(
        'part',
        [
          mapping(greenarrowError, {
            part: z.literal('mta').meta({ description: 'The MTA, by hvmail_init.' }),
            hvmail_init: hvmailInit,
            expected_down: components().meta({
              description:
                'Components that may be DOWN while the MTA runs; hvmail-dnscache and hvmail-qmail-smtpd3 where absent.',
            }),
            apart: components().meta({
              description:
                'Components that do not belong to the MTA; hvmail-httpd, hvmail-postgres and hvmail-studio-worker where absent.',
            }),
            disk_queue: absolutePath("the service directory of the disk queue's qmail-send")
              .optional()
              .meta({ description: '/service/hvmail-disk-qmail-send where absent.' }),
            disk_queue_wait: duration(0, '24h').optional().meta({
              description:
                'How long a stop waits for the disk queue to end, which need not; 60s where absent.',
            }),
          }),
          mapping(greenarrowError, {
            part: z.literal('postgres').meta({ description: 'PostgreSQL, by hvmail_postgres_manager.' }),
            postgres_manager: absolutePath('the program hvmail_postgres_manager')
              .optional()
              .meta({ description: '/var/hvmail/bin/hvmail_postgres_manager where absent.' }),
            hvmail_init: hvmailInit,
            component: componentName
              .optional()
              .meta({ description: 'PostgreSQL in `hvmail_init status`; hvmail-postgres where absent.' }),
          }),
        ],
        { error: greenarrowError },
      ),
    ],
    { error: greenarrowError },
  )
  .meta({ description: "GreenArrow Engine's MTA or its PostgreSQL." })

const canopsisNameError = 'a service of Canopsis: an init script, or a program or group of supervisord'
const Canopsis = mapping('{ name, dir, socket, username, password, together }', {
  name: z
    .string({ error: canopsisNameError })
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.+-]*(?::[^\s:*]+)?$/, { error: canopsisNameError })
    .meta({ description: 'An init script in `dir`, or else a program or group of supervisord.' }),
  dir: absolutePath('the directory of init scripts').meta({
    description: 'etc/init.d of the user of Canopsis.',
  }),
  socket: socketOf().meta({ description: "The socket or http:// address of that user's supervisord." }),
  ...access,
  together,
}).meta({ description: 'A service as the `service` script of Canopsis finds it.' })

const Command = mapping('{ start, stop, status }, each a program and its arguments', {
  start: argv().meta({ description: 'Starts the service.' }),
  stop: argv().meta({ description: 'Stops the service.' }),
  status: argv().optional().meta({
    description: 'Answers by the exit codes that LSB gives status. Without it the state is unknown.',
  }),
}).meta({ description: 'Commands of your own, never a shell string.' })

/** The keys that say which manager runs a service, and how. */
export const managers = {
  systemd: Systemd,
  lsb: Lsb,
  supervisord: Supervisord,
  daemontools: Daemontools,
  command: Command,
  greenarrow: Greenarrow,
  canopsis: Canopsis,
} as const
export const managerKeys = Object.keys(managers) as (keyof typeof managers)[]
