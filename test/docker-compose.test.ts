import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml'
import * as z from 'zod'
import { parseFleet } from '../packages/coordinator/src/fleet/parse-fleet.ts'

// What docker-compose.yml says is checked without Docker: against the part of the Compose specification that it
// uses (https://github.com/compose-spec/compose-spec), and against the checkout that it mounts.

const root = join(import.meta.dirname, '..')
const composeFile = join(root, 'docker-compose.yml')
const fleetFile = join(root, 'examples/compose/filo.yaml')

const Service = z.strictObject({
  image: z.string().regex(/^[a-z0-9./-]+:[A-Za-z0-9._-]+$/),
  init: z.boolean().optional(),
  hostname: z.string().optional(),
  working_dir: z.string().startsWith('/').optional(),
  entrypoint: z.array(z.string()).min(1).optional(),
  command: z.array(z.string()).min(1).optional(),
  profiles: z.array(z.string()).min(1).optional(),
  restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']).optional(),
  environment: z.record(z.string().regex(/^[A-Z_]+$/), z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  volumes: z.array(z.string().regex(/^[a-z0-9.]+:\/[a-z/-]+(:ro)?$/)).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD')], z.string()),
      interval: z.string().regex(/^\d+s$/),
      timeout: z.string().regex(/^\d+s$/),
      retries: z.int().positive(),
    })
    .optional(),
  depends_on: z
    .record(
      z.string(),
      z.strictObject({ condition: z.enum(['service_healthy', 'service_completed_successfully']) }),
    )
    .optional(),
})

const Compose = z.strictObject({
  'x-node': z.unknown(),
  'x-host': z.unknown(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
})

const compose = Compose.parse(
  load(readFileSync(composeFile, 'utf8'), { schema: CORE_SCHEMA.withTags(mergeTag) }),
)
const services = Object.entries(compose.services)

function fleet(): { hosts: string[]; scripts: string[] } {
  const parsed = parseFleet(readFileSync(fleetFile, 'utf8'), fleetFile)
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
  const { hosts, services: declared } = load(readFileSync(fleetFile, 'utf8')) as {
    hosts: Record<string, unknown>
    services: Record<string, { lsb: { name: string; dir: string } }>
  }
  return {
    hosts: Object.keys(hosts),
    scripts: Object.values(declared).map(({ lsb }) => join(lsb.dir, lsb.name)),
  }
}

test('every host of the fleet is a service with its own agent, configuration and ledger', () => {
  for (const host of fleet().hosts) {
    expect(compose.services[host]).toMatchObject({
      hostname: host,
      command: ['--config', `/etc/filo/${host}/agent.yaml`],
      volumes: ['.:/filo:ro', 'agents:/etc/filo:ro', `${host}:/var/lib/filo-agent`],
    })
    expect(compose.services['setup']?.command?.[0]).toContain(host)
  }
})

test.each(services)('%s waits only for services that can come to what it waits for', (_, service) => {
  for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
    const awaited = compose.services[name]
    expect(awaited).toBeDefined()
    if (condition === 'service_healthy') expect(awaited).toHaveProperty('healthcheck')
    else expect(awaited).not.toHaveProperty('restart')
  }
})

test.each(services)('%s mounts the checkout read-only, and else only declared volumes', (_, service) => {
  for (const volume of service.volumes ?? []) {
    if (volume.startsWith('.')) expect(volume).toBe('.:/filo:ro')
    else expect(compose.volumes).toHaveProperty(volume.slice(0, volume.indexOf(':')))
  }
})

test('every program that runs from the checkout is in it', () => {
  const programs = services.flatMap(([, service]) => [
    ...(service.entrypoint ?? []),
    ...(service.command ?? []),
  ])
  const paths = programs.flatMap((text) => text.match(/\/filo\/\S+\.ts/g) ?? [])
  expect(paths).not.toEqual([])
  for (const path of paths) accessSync(path.replace(/^\/filo/, root))
  for (const script of fleet().scripts) accessSync(script.replace(/^\/filo/, root), constants.X_OK)
})

test('no service answers on an address that others can reach', () => {
  const published = services.flatMap(([, service]) => service.ports ?? [])
  expect(published).toEqual(['127.0.0.1:15672:15672'])
})

// The docker program alone can do without its `compose` plugin, and often does.
test.runIf(hasCompose())('docker compose itself accepts the file', () => {
  execFileSync('docker', ['compose', '-f', composeFile, 'config', '--quiet'], { stdio: 'pipe' })
})

function hasCompose(): boolean {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
