import { copyFileSync, linkSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

// `npm run build [FOLDER]`: what hosts get. The same tree as the repository's own, `dist` by default, with `filo` and
// `filo-agent` bundled, and with the Node that they run on: a copy of it at the same or another place is all that a
// machine needs. It is smaller, starts in half the time, and takes less memory than the sources do.

interface Product {
  /** A package's folder. */
  readonly from: string
  /** What is bundled, and stands at the same place afterwards, as JavaScript. */
  readonly main: string
  /** What is copied as it is. */
  readonly files: readonly string[]
}

const products: readonly Product[] = [
  {
    from: 'packages/coordinator',
    main: 'src/cli/main.ts',
    files: ['package.json', 'filo.template.yaml', 'bin/filo'],
  },
  { from: 'packages/agent', main: 'src/main.ts', files: ['package.json', 'bin/filo-agent'] },
]

const root = import.meta.dirname

/** Builds `filo` and `filo-agent` into `to`, which is made anew. */
export async function buildProducts(to: string): Promise<void> {
  rmSync(to, { recursive: true, force: true })
  for (const { from, main, files } of products) {
    await bundle(join(root, from, main), dirname(join(to, from, main)))
    for (const file of files) copy(join(root, from, file), join(to, from, file))
  }
  copy(join(root, 'LICENSE'), join(to, 'LICENSE'))
  copyNode(join(to, 'node_modules/.bin/node'))
}

/** Bundles a program and all that it imports into a folder. What it imports later stands in files of its own. */
export async function bundle(program: string, to: string): Promise<void> {
  await build({
    entryPoints: [program],
    outdir: to,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    legalComments: 'none',
    logLevel: 'warning',
    // Some libraries are CommonJS, and ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
  })
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
