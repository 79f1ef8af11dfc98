import { copyFileSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

// `npm run build [FOLDER]`: what hosts get. The same tree as the repository's own, `dist` by default, with `filo` and
// `filo-agent` bundled, and with the Node that they run on: a copy of it at the same or another place is all that a
// machine needs. It is smaller, starts in half the time, and takes less memory than the sources do.

/** What is copied as it is, beside what is bundled. */
const files = [
  'packages/coordinator/package.json',
  'packages/coordinator/filo.template.yaml',
  'packages/coordinator/bin/filo',
  'packages/agent/package.json',
  'packages/agent/bin/filo-agent',
  'LICENSE',
]

const root = import.meta.dirname

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  legalComments: 'none',
  logLevel: 'warning',
} as const

/** Builds `filo` and `filo-agent` into `to`, which is made anew. */
export async function buildProducts(to: string): Promise<void> {
  rmSync(to, { recursive: true, force: true })
  await bundle(join(root, 'packages/agent/src/main.ts'), join(to, 'packages/agent/src'))
  const cli = 'packages/coordinator/src/cli'
  await bundleWhole(join(root, cli, 'main.ts'), join(to, cli, 'program.cjs'))
  await bundleWhole(join(root, cli, 'launch.ts'), join(to, cli, 'launch.cjs'))
  for (const file of files) copy(join(root, file), join(to, file))
  copyNode(join(to, 'node_modules/.bin/node'))
}

/** Bundles a program and all that it imports into a folder. What it imports later stands in files of its own. */
export async function bundle(program: string, to: string): Promise<void> {
  await build({
    ...common,
    entryPoints: [program],
    outdir: to,
    splitting: true,
    format: 'esm',
    // Some libraries are CommonJS, and ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
  })
}

/** Bundles a program and all that it imports into one file, as launch.ts runs it. */
async function bundleWhole(program: string, to: string): Promise<void> {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [program],
    outfile: to,
    write: false,
    format: 'cjs',
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  })
  // Only ASCII, so that V8 keeps a byte for each character; esbuild leaves others in regular expressions.
  const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(to, outputFiles[0]!.text.replaceAll(/[^\0-\x7f]/g, escaped))
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}

/** It is large, and never written to: a hard link does, where there can be one. */
function copyNode(to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  try {
    linkSync(process.execPath, to)
  } catch {
    copyFileSync(process.execPath, to)
  }
}

if (import.meta.main) {
  const to = process.argv[2] ?? join(root, 'dist')
  await buildProducts(to)
  process.stdout.write(`${to}\n`)
}
