import * as z from 'zod'
import { absolutePath, argv, mapping } from './schema-parts.ts'

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
const supervisordError = 'a program, or { program | group, socket, username, password, together }'
const Supervisord = z
  .union(
    [
      programName,
      mapping(supervisordError, {
        program: programName.optional().meta({ description: 'One program: name or group:name.' }),
        group: groupName.optional().meta({ description: 'All programs of a group.' }),
        socket: z
          .string({ error: socketError })
          .regex(/^(?:\/|https?:\/\/)/, { error: socketError })
          .optional()
          .meta({
            description: "supervisord's socket or http:// address; /run/supervisor.sock where absent.",
          }),
        username: z
          .string({ error: 'a string' })
          .optional()
          .meta({ description: 'For the http:// address.' }),
        password: z
          .string({ error: 'a string' })
          .optional()
          .meta({ description: 'For the http:// address.' }),
        together: z
          .boolean({ error: 'true or false' })
          .optional()
          .meta({ description: "A group's programs all at once, rather than in order of priority." }),
      }).refine((entry) => (entry.program === undefined) !== (entry.group === undefined), {
        error: 'either program or group',
      }),
    ],
    { error: supervisordError },
  )
  .meta({ description: 'A program or a group of programs under supervisord.' })

const Command = mapping('{ start, stop, status }, each a program and its arguments', {
  start: argv().meta({ description: 'Starts the service.' }),
  stop: argv().meta({ description: 'Stops the service.' }),
  status: argv().optional().meta({
    description: 'Answers by the exit codes that LSB gives status. Without it the state is unknown.',
  }),
}).meta({ description: 'Commands of your own, never a shell string.' })

/** The keys that say which manager runs a service, and how. */
export const managers = { systemd: Systemd, lsb: Lsb, supervisord: Supervisord, command: Command } as const
export const managerKeys = Object.keys(managers) as (keyof typeof managers)[]
