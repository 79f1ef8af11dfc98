import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { constants, Script } from 'node:vm'
import { crc32 } from 'node:zlib'

// What hosts get of `filo` begins here: it runs the bundled program (build.ts), and keeps what V8 has compiled of it.
// What Node keeps by itself is only what a file runs as it is loaded; all that a command calls was compiled anew each
// time. A command that has succeeded leaves what it compiled to all that come after it.
//
// What is kept is beside the packages, where only who may change them can write. It is used only with the very program
// and by the very V8 that it was made of, and where it cannot be written nothing is kept.

/** Words that a program has learnt from, at most: who types file names before the verb must not have it learn for ever. */
const mostWords = 40

interface Compiled {
  /** What was typed by those who added to it, one word each. */
  readonly words: readonly string[]
  readonly code: Buffer
}

const path = join(dirname(process.argv[1]!), 'program.cjs')
/** ASCII only, as build.ts writes it. */
const source = readFileSync(path)
const folder = process.env['NODE_COMPILE_CACHE']
const keptPath = folder && join(folder, 'program.code')
const kept = keptPath === undefined ? undefined : readKept(keptPath)

const script = new Script(`(function (require, __filename) {${source.toString('latin1')}\n})`, {
  filename: path,
  ...(kept && { cachedData: kept.code }),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
})
const words = script.cachedDataRejected === false ? kept!.words : []
const word = process.argv.find((arg, at) => at > 1 && /^(?:[a-z][a-z-]*|--help|--version)$/.test(arg)) ?? ''
const isNew = !words.includes(word) && words.length < mostWords

if (keptPath !== undefined && isNew) {
  process.on('exit', (code) => {
    if (code === 0) keep(keptPath, { words: [...words, word], code: script.createCachedData() })
  })
}
;(script.runInThisContext() as (require: NodeJS.Require, file: string) => void)(createRequire(path), path)

function readKept(from: string): Compiled | undefined {
  try {
    const bytes = readFileSync(from)
    const end = bytes.indexOf('\n')
    const [sum, ...others] = bytes.toString('latin1', 0, end).split(' ')
    const compiled = { words: others, code: bytes.subarray(end + 1) }
    return sum === sumOf(compiled) ? compiled : undefined
  } catch {
    return undefined
  }
}

function keep(to: string, compiled: Compiled): void {
  try {
    const own = `${to}-${process.pid}`
    const head = [sumOf(compiled), ...compiled.words].join(' ')
    writeFileSync(own, Buffer.concat([Buffer.from(`${head}\n`, 'latin1'), compiled.code]))
    renameSync(own, to)
  } catch {
    // Another command may be able to.
  }
}

/** Of the program too: V8 itself compares no more of it than its length. */
function sumOf({ words: all, code }: Compiled): string {
  return crc32(code, crc32(all.join(' '), crc32(source))).toString(16)
}
