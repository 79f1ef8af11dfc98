// `npm run bench -- NAME [ARGUMENT…]`: each benchmark is a file of that name with a `main`.

const benchmarks: Readonly<Record<string, () => Promise<{ main: (args: string[]) => Promise<void> }>>> = {
  connections: () => import('./connections.ts'),
  host: () => import('./host.ts'),
  journal: () => import('./journal.ts'),
  messages: () => import('./messages.ts'),
  peers: () => import('./peers.ts'),
  plan: () => import('./plan.ts'),
  soak: () => import('./soak.ts'),
  startup: () => import('./startup.ts'),
  run: () => import('./run.ts'),
  trail: () => import('./trail.ts'),
}

const [name, ...args] = process.argv.slice(2)
const benchmark = name === undefined ? undefined : benchmarks[name]
if (benchmark === undefined) {
  console.error(`no benchmark ${name ?? 'named'}; expected one of ${Object.keys(benchmarks).join(', ')}`)
  process.exitCode = 64
} else {
  await (await benchmark()).main(args)
}
