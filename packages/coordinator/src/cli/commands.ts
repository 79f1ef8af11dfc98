import { readFileSync } from 'node:fs'
import type { Allowance } from '@filo/protocol'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { durationMs, durationPattern } from '../fleet/duration.ts'
import type { Intention } from '../plan/plan.ts'
import type { FollowOptions } from './audit-follow.ts'
import type { SetupOptions } from './broker-setup.ts'
import type { Context } from './context.ts'
import type { ExitCode } from './exit-code.ts'
import type { HypcontrolOptions, ImportOptions } from './import.ts'
import type { PlanOptions } from './plan.ts'
import type { ResumeChoices } from './resume.ts'
import type { StatusOptions } from './status.ts'
import { explainUsage } from './usage.ts'
import type { SessionChoices } from './carry.ts'
import type { ChangeOptions } from './change.ts'

/** Carries out a command's action in its context. */
export type Perform = (command: Command, act: (context: Context) => Promise<ExitCode>) => Promise<void>

/** The whole command line. What a command needs is loaded when it is carried out. */
export function defineCommands(perform: Perform): Command {
  const program = new Command('filo')
    .description('Stops and starts whole fleets in order: first in, last out.')
    .version(version())
    .option('-f, --file <file>', 'the fleet file (default: filo.yaml here or above; FILO_FILE)')
    .option('--state <dir>', 'where runs and keys are kept (default: ~/.local/state/filo; FILO_STATE)')
    .option('--no-color', 'print without colours (NO_COLOR)')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'filo: ')) })
    .exitOverride()
  defineSettingUp(program, perform)
  defineLooking(program, perform)
  defineChanging(program, perform)
  defineRuns(program, perform)
  explainUsage(program)
  return program
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const json = (): Option => new Option('--json', 'print data as one JSON document').conflicts('jsonl')
const jsonl = (): Option => new Option('--jsonl', 'print data as JSON lines')
const label = (): Option =>
  new Option('--label <key=value>', 'only on hosts with this label; may be given again')
    .argParser((value, all: string[] | undefined) => [...(all ?? []), value])
    .default([], 'all hosts')
const only = (): Option =>
  new Option('--only', 'leave out what the selection drags along, and prove it instead')
const selection = (): Argument =>
  new Argument('[selection...]', 'mta, mta@mail1, @mail1, stage:backend, globs; none is the whole fleet')
const verb = (): Argument =>
  new Argument('<verb>', 'what to plan').choices(['start', 'stop', 'restart', 'reboot', 'halt'])

function duration(text: string): number {
  if (!durationPattern.test(text))
    throw new InvalidArgumentError('Expected a duration such as 500ms, 90s, 3m.')
  return durationMs(text)
}

function bytes(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6})([KMG]iB)$/.exec(text) ?? []
  if (number === undefined) throw new InvalidArgumentError('Expected a size such as 64KiB, 100MiB, 2GiB.')
  return Number(number) * 1024 ** (1 + 'KMG'.indexOf(unit[0]!))
}

function count(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('Expected a number from 0 to 9999.')
  return Number(text)
}

const allowances: readonly Allowance[] = ['beginning', 'gaps', 'late', 'repeats']

function allowance(text: string, all: readonly Allowance[]): Allowance[] {
  const known = allowances.find((one) => one === text)
  if (known === undefined) throw new InvalidArgumentError(`Allowed choices are ${allowances.join(', ')}.`)
  return [...all, known]
}

function defineSettingUp(program: Command, perform: Perform): void {
  program
    .command('init')
    .description('write a filo.yaml to begin with')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./init.ts')).init(context)),
    )
  program
    .command('validate')
    .description('say all that is wrong with the fleet file')
    .addOption(json())
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./validate.ts')).validate(context)),
    )
  defineKeys(
    program.command('keys').description('whom agents obey, and whom this coordinator believes'),
    perform,
  )
  program
    .command('enroll')
    .description("accept the key that a host's agent has made, by its fingerprint")
    .argument('<host>')
    .option('--fingerprint <sha256>', 'accept this one without being asked: as the host itself shows it')
    .action((host: string, options: { fingerprint?: string }, command: Command) =>
      perform(command, async (context) => (await import('./enroll.ts')).enroll(context, host, options)),
    )
  program
    .command('agent-config')
    .description("print a host's slice of the fleet file, for its agent")
    .argument('<host>')
    .option('-o, --output <dir>', 'write agent.yaml and agent.key into this folder instead')
    .addOption(
      new Option(
        '--sudoers',
        'print what sudo has to allow it instead, where it is not root (agent_user)',
      ).conflicts('output'),
    )
    .action((host: string, options: { output?: string; sudoers?: true }, command: Command) =>
      perform(command, async (context) =>
        (await import('./agent-config.ts')).agentConfig(context, host, options),
      ),
    )
  program
    .command('broker')
    .description('who may do what at the broker')
    .command('setup')
    .description(
      'write the accounts of the broker, one for each host and one for this coordinator, with the least rights',
    )
    .option('-o, --output <file>', 'write it there, for its owner only, instead of printing it')
    .option('--apply', 'carry it out here, by rabbitmqctl (RabbitMQ)')
    .action((options: SetupOptions, command: Command) =>
      perform(command, async (context) => (await import('./broker-setup.ts')).brokerSetup(context, options)),
    )
  defineImports(
    program.command('import').description('write a fleet file from what another program has'),
    perform,
  )
  program
    .command('doctor')
    .description('say what is wrong with broker, keys, agents and clocks, and what to do')
    .addOption(json())
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./doctor.ts')).doctor(context)),
    )
}

function defineKeys(keys: Command, perform: Perform): void {
  keys
    .command('init')
    .description("make this coordinator's key, where there is none")
    .option('--hosts', 'and one for each host that has none, to be brought there (agent-config -o)')
    .addOption(json())
    .action((options: { hosts?: true }, command: Command) =>
      perform(command, async (context) => (await import('./keys.ts')).initKeys(context, options)),
    )
  keys
    .command('show')
    .description('show whose keys are known, by their fingerprints')
    .addOption(json())
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./keys.ts')).showKeys(context)),
    )
  keys
    .command('rotate')
    .description('make this coordinator another key; both sign until the old one is revoked')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./keys.ts')).rotateKeys(context)),
    )
  keys
    .command('revoke')
    .description("revoke this coordinator's old key, or a host's, for good")
    .argument('<fingerprint>', 'or at least the first eight digits of it')
    .option('--yes', 'without being asked')
    .action((fingerprint: string, options: { yes?: true }, command: Command) =>
      perform(command, async (context) =>
        (await import('./keys.ts')).revokeKey(context, fingerprint, options),
      ),
    )
}

function defineImports(program: Command, perform: Perform): void {
  const hosts = (flags: string, description: string): Option =>
    new Option(flags, description)
      .argParser((value, all: string[] | undefined) => [...(all ?? []), value])
      .default([], 'localhost')
  const output = (): Option => new Option('-o, --output <file>', 'write it there instead of printing it')
  program
    .command('hypcontrol')
    .description("Canopsis' hypcontrol.conf, as three stages")
    .argument('<file>', "usually ~/etc/hypcontrol.conf of Canopsis' user")
    .addOption(
      hosts('--host <[stage=]host>', 'where the services of a stage, or all, run; may be given again'),
    )
    .option('--home <dir>', 'the home of its user (default: the folder above that of the file)')
    .option('--socket <socket>', 'where supervisord listens (default: as its etc/supervisord.conf says)')
    .addOption(output())
    .action((file: string, options: HypcontrolOptions, command: Command) =>
      perform(command, async (context) =>
        (await import('./import.ts')).importHypcontrol(context, file, options),
      ),
    )
  program
    .command('supervisord')
    .description('the programs and groups of a supervisord.conf, in the order of their priorities')
    .argument('<conf>', 'usually /etc/supervisor/supervisord.conf')
    .addOption(hosts('--host <host>', 'a host that has this supervisord; may be given again'))
    .addOption(output())
    .action((file: string, options: ImportOptions, command: Command) =>
      perform(command, async (context) =>
        (await import('./import.ts')).importSupervisord(context, file, options),
      ),
    )
}

function defineLooking(program: Command, perform: Perform): void {
  program
    .command('graph')
    .description('draw who needs whom (Mermaid)')
    .option('--hosts', 'one box for each host')
    .addOption(json())
    .action((options: { hosts?: true }, command: Command) =>
      perform(command, async (context) => (await import('./graph.ts')).graph(context, options)),
    )
  program
    .command('plan')
    .description('show what a verb would do, and why')
    .addArgument(verb())
    .addArgument(selection())
    .addOption(only())
    .addOption(label())
    .option('-o, --output <file>', 'write the plan for: filo apply FILE')
    .option('--offline', 'ask no agent')
    .option('--explain <step>', 'explain one step, such as "stop mta@mail1"')
    .option('--detailed-exitcode', 'exit 6 when there is something to do')
    .addOption(json())
    .action((planned: Intention['verb'], selected: string[], options: PlanOptions, command: Command) =>
      perform(command, async (context) =>
        (await import('./plan.ts')).plan(context, planned, selected, options),
      ),
    )
  program
    .command('status')
    .description('show the state of every instance; exits 0, 3 or 4 as LSB status does')
    .addArgument(selection())
    .addOption(label())
    .addOption(new Option('--watch', 'again every 2 s, until Ctrl-C').conflicts('json'))
    .addOption(json())
    .addOption(jsonl())
    .action((selected: string[], options: StatusOptions, command: Command) =>
      perform(command, async (context) => (await import('./status.ts')).status(context, selected, options)),
    )
  const audit = program.command('audit').description('account for what was decided and done')
  audit
    .command('follow')
    .description('hand audit events on as they come, from where this consumer left off')
    .option('--consumer <name>', 'whose place in the event log', 'filo')
    .option(
      '--to <place>',
      '- (this terminal), FILE, syslog:, syslog+udp://HOST, syslog+tcp://HOST, https://…',
      '-',
    )
    .addOption(
      new Option('--rotate <size>', 'a file of this size is put aside')
        .argParser(bytes)
        .default(100 << 20, '100MiB'),
    )
    .addOption(new Option('--keep <number>', 'files put aside that are kept').argParser(count).default(10))
    .option('--secret <file>', 'signs what goes to a webhook; the file holds whsec_ and base64')
    .option('--type <type>', 'only events of this type, and those below it')
    .option('--host <host>', 'only events of the agent of this host')
    .option('--service <service>', 'only what is about instances of this service')
    .option('--run <run>', 'only what belongs to this run')
    .action((options: FollowOptions, command: Command) =>
      perform(command, async (context) => (await import('./audit-follow.ts')).followAudit(context, options)),
    )
  audit
    .command('show')
    .description('tell the story of a run: who asked and why, what happened when, what agents said')
    .argument('<run>')
    .argument('[file...]', "ledgers and consumers' files, for what the agents themselves have written")
    .addOption(jsonl())
    .action((run: string, files: string[], _options: object, command: Command) =>
      perform(command, async (context) => (await import('./audit-show.ts')).showAudit(context, run, files)),
    )
  audit
    .command('verify')
    .description('check offline that audit events are as they were written, none changed and none missing')
    .argument('[file...]', "journals, ledgers, consumers' files of JSON lines; none is this fleet's journal")
    .addOption(
      new Option('--allow <what>', "what a consumer's file may be by right; may be given again")
        .argParser(allowance)
        .default([], 'nothing'),
    )
    .addOption(json())
    .action((files: string[], options: { allow: Allowance[] }, command: Command) =>
      perform(command, async (context) =>
        (await import('./audit-verify.ts')).verifyAudit(context, files, options),
      ),
    )
}

/** The options of commands that carry out a run. */
function carrying(command: Command): Command {
  return command
    .option('-y, --yes', 'do not ask')
    .option('--continue', 'after a failure go on with what does not depend on it (default: hold)')
    .addOption(
      new Option('--patience <duration>', 'how long what does not answer is asked again')
        .argParser(duration)
        .default(60_000, '60s'),
    )
    .addOption(json())
    .addOption(jsonl())
}

const reason = (): Option => new Option('--reason <text>', 'why, for the journal and the audit log')

function defineChanging(program: Command, perform: Perform): void {
  const descriptions = {
    start: 'start what is selected, and first all that it needs',
    stop: 'stop what is selected, and first all that needs it',
    restart: 'stop, then start again what was running',
  } as const
  for (const each of ['start', 'stop', 'restart'] as const) {
    carrying(program.command(each).description(descriptions[each]).addArgument(selection()))
      .addOption(only())
      .addOption(label())
      .addOption(reason())
      .action((selected: string[], options: ChangeOptions, command: Command) =>
        perform(command, async (context) =>
          (await import('./change.ts')).change(context, each, selected, options),
        ),
      )
  }
  const powers = {
    reboot: 'stop all on a host and all that needs it, reboot the host, start again what was running',
    halt: 'stop all on a host and all that needs it, and switch the host off',
  } as const
  for (const each of ['reboot', 'halt'] as const) {
    carrying(program.command(each).description(powers[each]))
      .argument('[host...]', 'its name, or a glob')
      .addOption(label())
      .addOption(reason())
      .action((hosts: string[], options: ChangeOptions, command: Command) =>
        perform(command, async (context) =>
          (await import('./change.ts')).change(context, each, hosts, options),
        ),
      )
  }
  carrying(program.command('apply').description('carry out a plan that `filo plan -o FILE` wrote'))
    .argument('<plan>', 'the file')
    .addOption(reason())
    .action((file: string, options: SessionChoices, command: Command) =>
      perform(command, async (context) => (await import('./apply.ts')).apply(context, file, options)),
    )
}

function defineRuns(program: Command, perform: Perform): void {
  carrying(program.command('resume').description('carry on with a run that has not succeeded'))
    .argument('[run]', 'default: the newest')
    .option('--take-over', 'take its hosts from whoever holds them')
    .option('--old-plan', 'keep to its plan although the fleet file has changed since')
    .action((run: string | undefined, options: ResumeChoices, command: Command) =>
      perform(command, async (context) => (await import('./resume.ts')).resume(context, run, options)),
    )
  carrying(program.command('undo').description('lead back from a run: start what it stopped, or the reverse'))
    .argument('<run>')
    .addOption(reason())
    .action((run: string, options: SessionChoices, command: Command) =>
      perform(command, async (context) => (await import('./undo.ts')).undo(context, run, options)),
    )
  program
    .command('cancel')
    .description('have a run that is being carried out send nothing new')
    .argument('<run>')
    .option('--abort', 'cut short what is in flight')
    .addOption(reason())
    .addOption(json())
    .action((run: string, options: { abort?: true; reason?: string }, command: Command) =>
      perform(command, async (context) => (await import('./cancel.ts')).cancel(context, run, options)),
    )
  program
    .command('waive')
    .description('let a step count as done without proof, on your word')
    .argument('<run>')
    .argument('<step>', 'as the report names it: "stop mta@mail1"')
    .requiredOption('--reason <text>', 'why it is safe, for the journal and the audit log')
    .addOption(json())
    .action((run: string, step: string, options: { reason: string }, command: Command) =>
      perform(command, async (context) => (await import('./waive.ts')).waive(context, run, step, options)),
    )
  program
    .command('locks')
    .description('show who holds which host, since when and for which run')
    .addOption(json())
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./locks.ts')).locks(context)),
    )
  program
    .command('runs')
    .description('list the newest runs and what they came to')
    .addOption(json())
    .addOption(jsonl())
    .action((_options: object, command: Command) =>
      perform(command, async (context) => (await import('./runs.ts')).runs(context)),
    )
  program
    .command('show')
    .description('tell what a run did, step by step')
    .argument('<run>')
    .addOption(json())
    .action((run: string, _options: object, command: Command) =>
      perform(command, async (context) => (await import('./show.ts')).show(context, run)),
    )
}
