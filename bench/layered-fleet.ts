import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const verbs = ['stop', 'start'] as const

export type Verb = (typeof verbs)[number]

const layerNames = ['database', 'backend', 'middleware', 'frontend']

/** A fleet of four layers, each of which needs the one before; on each host one service (service.c). */
export interface LayeredFleet {
  readonly file: string
  readonly service: string
  /** Names of services, by layer, in the order in which they start. */
  readonly layers: readonly (readonly string[])[]
}

/** Writes the fleet file and compiles the service, both into `dir`. @param workMs what a stop or start takes. */
export function makeLayeredFleet(dir: string, hosts: number, broker: string, workMs = 50): LayeredFleet {
  const service = compile(dir, 'service', `-DWORK_MS=${workMs}`)
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
export function compile(dir: string, name: string, ...flags: readonly string[]): string {
  const program = join(dir, name)
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
  execFileSync('cc', ['-O2', '-Wall', '-Werror', ...flags, '-o', program, source])
  return program
}

/** The one host of a service. */
export function hostOf(service: string): string {
  return `h${service.slice(1)}`
}

/** The layers, in the order in which they stop or start. */
export function orderOf({ layers }: LayeredFleet, verb: Verb): LayeredFleet['layers'] {
  return verb === 'start' ? layers : layers.toReversed()
}

interface Entry {
  readonly verb: string
  readonly name: string
  readonly what: 'begins' | 'ends' | 'asked'
}

/**
 * What the services themselves wrote down since this was last called: how many processes ran. Throws when a service did
 * not do each verb once, or was not asked for its status afterwards, or began before that of all of the layer before.
 */
export function takeLedger(fleet: LayeredFleet, ...done: readonly Verb[]): number {
  const file = `${fleet.service}.ledger`
  const entries = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [verb, name, what] = line.split(' ') as [string, string, Entry['what']]
      return { verb, name, what }
    })
  rmSync(file)
  // Each verb by itself: in a restart, what is stopped may start again while others of its layer still stop.
  for (const verb of done) checkOrder(entries, verb, orderOf(fleet, verb))
  return entries.filter(({ what }) => what !== 'ends').length
}

function checkOrder(entries: readonly Entry[], verb: Verb, layers: LayeredFleet['layers']): void {
  const last = new Map<string, Entry['what']>()
  const isProven = (name: string): boolean => last.get(name) === 'asked'
  for (const { verb: its, name, what } of entries) {
    if (its === verb) {
      const isNext =
        what === 'ends'
          ? last.get(name) === 'begins'
          : !last.has(name) && layerBefore(layers, name).every(isProven)
      if (!isNext) throw new Error(`out of order: ${verb} ${name} ${what}`)
      last.set(name, what)
    } else if (what === 'asked' && last.get(name) === 'ends') {
      last.set(name, what)
    }
  }
  const unproven = layers.flat().filter((name) => !isProven(name))
  if (unproven.length > 0)
    throw new Error(`not done, or not asked afterwards: ${verb} ${unproven.join(', ')}`)
}

function layerBefore(layers: LayeredFleet['layers'], name: string): readonly string[] {
  return layers[layers.findIndex((layer) => layer.includes(name)) - 1] ?? []
}
