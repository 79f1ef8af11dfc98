import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBroker, type Broker } from './support/broker.ts'
import { useBuiltPrograms } from './support/built-programs.ts'
import { filo } from './support/filo.ts'
import { openFleet } from './support/fleet.ts'
import { localFleet } from './support/local-fleet.ts'
import { tempDir } from './support/temp-dir.ts'

// What `npm run build` makes is what hosts get: it does the main job by itself, away from the repository.

const product = useBuiltPrograms()

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker[Symbol.asyncDispose]())

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

test('the built filo finds the files that it needs', async () => {
  using dir = tempDir()
  expect(await filo(['--version'], { cwd: dir.path })).toMatchObject({ code: 0, stdout: '0.1.0\n' })
  expect(await filo(['init'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(await filo(['validate'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(await filo(['nonsense'], { cwd: dir.path })).toMatchObject({ code: 64 })
})

test('the built filo keeps what commands that succeed have compiled, and does without what is damaged', async () => {
  using dir = tempDir()
  const path = join(product().path, 'node_modules/.cache/filo/program.code')
  const learnt = (): string[] =>
    readFileSync(path, 'latin1').split('\n', 1)[0]!.split(' ').slice(1).toSorted()
  await filo(['init'], { cwd: dir.path })
  expect(await filo(['nonsense'], { cwd: dir.path })).toMatchObject({ code: 64 })
  expect(await filo(['validate'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(learnt()).toContain('validate')
  expect(learnt()).not.toContain('nonsense')
  const bytes = readFileSync(path)
  const middle = Math.floor(bytes.length / 2)
  bytes[middle]! ^= 1
  writeFileSync(path, bytes)
  expect(await filo(['plan', 'stop'], { cwd: dir.path })).toMatchObject({ code: 0 })
  expect(learnt()).toEqual(['plan'])
})
