import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const layerNames = ['database', 'backend', 'middleware', 'frontend']

/** A fleet of four layers, each of which needs the one before; on each host one service of 50 ms (service.c). */
export interface LayeredFleet {
  readonly file: string
  readonly service: string
  /** Names of services, by layer, in the order in which they start. */
  readonly layers: readonly (readonly string[])[]
}

/** Writes the fleet file and compiles the service, both into `dir`. */
export function makeLayeredFleet(dir: string, hosts: number, broker: string): LayeredFleet {
  const service = compile(dir, 'service')
  const names = Array.from({ length: hosts }, (_, index) => `s${index}`)
  const perLayer = Math.ceil(hosts / layerNames.length)
  const layers = layerNames.map((_, at) => names.slice(at * perLayer, (at + 1) * perLayer))
  const argv = (verb: string, name: string): string => `${verb}: [${service}, ${verb}, ${name}]`
  const command = (name: string): string =>
    ['start', 'stop', 'status'].map((verb) => argv(verb, name)).join(', ')
  const file = join(dir, 'filo.yaml')
  const lines = [
    'fleet: bench',
    `broker: ${broker}`,
    `hosts: { ${names.map((name) => `${hostOf(name)}: {}`).join(', ')} }`,
    'services:',
    ...names.map((name) => `  ${name}: { hosts: ${hostOf(name)}, command: { ${command(name)} } }`),
    'stages:',
    ...layers.map((layer, at) => `  - ${layerNames[at]}: [${layer.join(', ')}]`),
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { file, service, layers }
}

/** Compiles `bench/NAME.c` into a folder; gives the program's path. */
export function compile(dir: string, name: string): string {
  const program = join(dir, name)
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
  execFileSync('cc', ['-O2', '-Wall', '-Werror', '-o', program, source])
  return program
}

/** The one host of a service. */
export function hostOf(service: string): string {
  return `h${service.slice(1)}`
}

interface Entry {
  readonly verb: string
  readonly name: string
  readonly what: 'begins' | 'ends' | 'asked'
}

/**
 * What the services themselves wrote down since they were last asked: how many processes ran. Throws when a
 * service did not do `verb` once, or when one began before all of the layer before it had ended.
 */
export function takeLedger({ service, layers }: LayeredFleet, ...verbs: ('start' | 'stop')[]): number {
  const file = `${service}.ledger`
  const entries = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [done, name, what] = line.split(' ') as [string, string, Entry['what']]
      return { verb: done, name, what }
    })
  rmSync(file)
  // Each verb by itself: in a restart, what is stopped may start again while others of its layer still stop.
  for (const verb of verbs) {
    const written = entries.filter((entry) => entry.verb === verb).map(({ name, what }) => `${name} ${what}`)
    let from = 0
    for (const layer of verb === 'start' ? layers : layers.toReversed()) {
      const expected = layer.flatMap((name) => [`${name} begins`, `${name} ends`]).toSorted()
      const found = written.slice(from, from + expected.length).toSorted()
      if (found.join() !== expected.join()) throw new Error(`out of order: ${verb} ${found.join(', ')}`)
      from += expected.length
    }
    if (from !== written.length) throw new Error(`${verb} was done more than once`)
  }
  return entries.filter(({ what }) => what !== 'ends').length
}
