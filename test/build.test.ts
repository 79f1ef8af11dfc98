import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildProducts } from '../build.ts'
import { startBroker, type Broker } from './support/broker.ts'
import { filo } from './support/filo.ts'
import { openFleet } from './support/fleet.ts'
import { localFleet } from './support/local-fleet.ts'
import { tempDir, type TempDir } from './support/temp-dir.ts'

// What `npm run build` makes is what hosts get: it does the main job by itself, away from the repository.

let product: TempDir
let broker: Broker
beforeAll(async () => {
  product = tempDir()
  await buildProducts(product.path)
  process.env['FILO_PRODUCT'] = product.path
  broker = await startBroker()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  delete process.env['FILO_PRODUCT']
  product[Symbol.dispose]()
})

const upInOrder = ['db up', 'app up', 'mail up', 'web up']
const downInOrder = ['web down', 'mail down', 'app down', 'db down']

test('the built programs stop and start a fleet in order, over a broker', async () => {
  await using fleet = await openFleet(broker.url)
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(upInOrder)
  fleet.services.forget()
  expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(downInOrder)
})

test('the built filo is the agent of its own machine', async () => {
  await using fleet = localFleet()
  expect(await fleet.filo('start', '--yes')).toMatchObject({ code: 0 })
  expect(fleet.services.effects()).toEqual(upInOrder)
})

test('the built filo finds the files that it needs, and keeps what Node has compiled beside them', async () => {
  using dir = tempDir()
  expect(await filo(['--version'], { cwd: dir.path })).toMatchObject({ code: 0, stdout: '0.1.0\n' })
  expect(await filo(['init'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(await filo(['validate'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(await filo(['nonsense'], { cwd: dir.path })).toMatchObject({ code: 64 })
  expect(existsSync(join(product.path, 'node_modules/.cache/filo'))).toBe(true)
})
