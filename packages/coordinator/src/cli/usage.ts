import type { Command } from 'commander'

// What a command line that cannot be understood is answered with: how the command is typed, and one that is right.

const run = 'r20261120-031500-k7qd'

/** One command line for each command that can be carried out, by its name. */
const examples: Readonly<Record<string, string>> = {
  init: 'filo init',
  validate: 'filo validate',
  'keys init': 'filo keys init',
  'keys show': 'filo keys show',
  'keys rotate': 'filo keys rotate',
  'keys revoke': 'filo keys revoke 3f9a2b1c',
  'broker setup': 'filo broker setup -o broker-setup.sh',
  enroll: 'filo enroll mail1',
  'agent-config': 'filo agent-config mail1 -o mail1',
  'import hypcontrol': 'filo import hypcontrol ~canopsis/etc/hypcontrol.conf -o filo.yaml',
  'import supervisord': 'filo import supervisord /etc/supervisor/supervisord.conf -o filo.yaml',
  doctor: 'filo doctor',
  graph: 'filo graph --hosts',
  plan: 'filo plan stop mta',
  status: 'filo status @mail1',
  'audit show': `filo audit show ${run} /var/log/filo.jsonl`,
  'audit verify': 'filo audit verify journal.db /var/log/filo.jsonl',
  'audit follow': 'filo audit follow --type filo.action',
  start: 'filo start mta',
  stop: 'filo stop mta --reason "kernel update"',
  restart: 'filo restart mta@mail1',
  reboot: 'filo reboot app1',
  halt: 'filo halt app1',
  apply: 'filo apply plan.json',
  resume: `filo resume ${run}`,
  undo: `filo undo ${run}`,
  cancel: `filo cancel ${run} --reason "the wrong night"`,
  waive: `filo waive ${run} "stop mta@mail1" --reason "the host is switched off"`,
  runs: 'filo runs',
  locks: 'filo locks',
  show: `filo show ${run}`,
}

/** The example of a command; undefined where there is none. */
export function exampleOf(name: string): string | undefined {
  return examples[name]
}

/** Every command that can be carried out, by the words that it is typed with. */
export function leavesOf(command: Command, words: readonly string[] = []): [string, Command][] {
  return command.commands
    .filter((one) => one.name() !== 'help')
    .flatMap((one): [string, Command][] => {
      const name = [...words, one.name()]
      return one.commands.length === 0 ? [[name.join(' '), one]] : leavesOf(one, name)
    })
}

/** Has every command say, beside what is wrong, how it is typed. To be called when all are defined. */
export function explainUsage(program: Command): void {
  program.showHelpAfterError('What there is: filo --help')
  for (const [name, command] of leavesOf(program)) {
    const example = `For example: ${exampleOf(name) ?? `filo ${name}`}`
    command.addHelpText('after', `\n${example}`)
    const needed = command.options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags)
    const usage = ['filo', name, command.usage(), ...needed].join(' ')
    command.showHelpAfterError(`Usage: ${usage}\n${example}`)
  }
}
