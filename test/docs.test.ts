import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import { load } from 'js-yaml'
import { defineCommands } from '../packages/coordinator/src/cli/commands.ts'
import { exampleOf, leavesOf } from '../packages/coordinator/src/cli/usage.ts'
import { parseFleet } from '../packages/coordinator/src/fleet/parse-fleet.ts'
import { formatProblem } from '../packages/coordinator/src/fleet/problem.ts'

const root = join(import.meta.dirname, '..')

function documents(): string[] {
  const docs = readdirSync(join(root, 'docs')).map((name) => join(root, 'docs', name))
  const examples = ['demo', 'audit-consumer', 'greenarrow', 'canopsis', 'sympa'].map((name) =>
    join(root, 'examples', name, 'README.md'),
  )
  return [join(root, 'README.md'), ...examples, ...docs].filter((file) => file.endsWith('.md'))
}

interface Block {
  readonly language: string
  readonly text: string
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({
    language: language!,
    text: text!,
  }))
}

/** What a document tells people to type that begins with `filo`: lines of shell blocks, and words between backticks. */
function commandsIn(markdown: string): string[] {
  const lines = blocksOf(markdown)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'))
    .map((line) => line.replace(/\s+#.*$/, ''))
  const prose = markdown.replaceAll(/^```.*?^```$/gms, '')
  const inline = [...prose.matchAll(/`(filo [^`]+)`/g)].map(([, command]) => command!)
  return [...lines, ...inline].filter((line) => line.startsWith('filo '))
}

function words(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!).slice(1)
}

/** What the command line says of a command that it does not know; undefined for one that it does. Runs nothing. */
async function faultOf(command: string): Promise<string | undefined> {
  const program = defineCommands(async () => {})
  for (const each of [program, ...program.commands]) each.configureOutput({ writeErr: () => {} })
  // `plan` stands for its three verbs.
  const typed = words(command).map((word) => (word === 'VERB' ? 'stop' : word))
  try {
    await program.parseAsync(typed, { from: 'user' })
    return undefined
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // A command that is only named, as `filo waive`, is not one to type.
    const isNamed = typed.length === 1 && error.code.startsWith('commander.missing')
    // Asked for help or for its version, it ends well.
    return isNamed || error.exitCode === 0 ? undefined : `${command}: ${error.message}`
  }
}

describe.for(documents().map((file) => [relative(root, file), file] as const))('%s', ([, file]) => {
  const markdown = readFileSync(file, 'utf8')

  test('names no command and no option that filo does not have', async () => {
    const faults = await Promise.all(commandsIn(markdown).map(faultOf))
    expect(faults.filter((fault) => fault !== undefined)).toEqual([])
  })

  test('shows no fleet file that filo would refuse', () => {
    const fleets = blocksOf(markdown).filter(
      ({ language, text }) => language === 'yaml' && Object.hasOwn(load(text) as object, 'fleet'),
    )
    const problems = fleets.flatMap(({ text }) => {
      const parsed = parseFleet(text, relative(root, file))
      return parsed.kind === 'refused' ? parsed.problems.map(formatProblem) : []
    })
    expect(problems).toEqual([])
  })

  test('links to no file that is not there', () => {
    const links = [...markdown.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path]) => path!)
    const missing = links.filter((path) => {
      const [folder, name] = [join(file, '..', path, '..'), path.split('/').at(-1)!]
      return !readdirSync(folder).includes(name)
    })
    expect(missing).toEqual([])
  })
})

test('every command has an example, and filo understands it', async () => {
  const program = defineCommands(async () => {})
  const names = leavesOf(program).map(([name]) => name)
  expect(names.filter((name) => exampleOf(name) === undefined)).toEqual([])
  for (const name of names) {
    const example = exampleOf(name)!
    expect(example.startsWith(`filo ${name}`), example).toBe(true)
    expect(await faultOf(example)).toBeUndefined()
  }
})

test('docs/cli.md has every command and every option', () => {
  const text = readFileSync(join(root, 'docs/cli.md'), 'utf8')
  const program = defineCommands(async () => {})
  const missing = leavesOf(program).flatMap(([name, command]) => [
    ...(text.includes(`\`filo ${name}`) ? [] : [`filo ${name}`]),
    ...command.options
      .filter(({ long }) => !text.includes(`\`${long}`))
      .map(({ long }) => `filo ${name} ${long}`),
  ])
  expect(missing).toEqual([])
})

test('the examples show fleets that filo accepts', () => {
  for (const file of [
    'examples/demo/filo.yaml',
    'examples/compose/filo.yaml',
    'examples/greenarrow/filo.yaml',
    'examples/greenarrow/hosts.yaml',
    'examples/greenarrow/whole.yaml',
    'examples/sympa/filo.yaml',
    'examples/sympa/initscripts.yaml',
    'examples/sympa/spawned.yaml',
    'examples/canopsis/filo.yaml',
    'packages/coordinator/filo.template.yaml',
  ]) {
    expect(parseFleet(readFileSync(join(root, file), 'utf8'), file)).toMatchObject({ kind: 'fleet' })
  }
})
