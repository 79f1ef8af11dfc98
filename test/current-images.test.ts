import { openTransport } from '@filo/protocol'
import { describeTransport, type TransportHarness } from '@filo/protocol/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { dockerAnswers } from './support/container.ts'
import { fourInARow } from './support/fleet-file.ts'
import { openFleet } from './support/fleet.ts'
import { startNatsContainer } from './support/nats-container.ts'
import { startRabbitmqContainer } from './support/rabbitmq-container.ts'

// The brokers as they are released now, as containers: all other tests drive the versions of the machine's packages.

const canRun = await dockerAnswers()

const images: readonly [string, () => Promise<{ readonly url: string } & AsyncDisposable>][] = [
  ['rabbitmq:4-management', startRabbitmqContainer],
  ['nats:2', startNatsContainer],
]

describe.each(images)('%s', (image, start) => {
  beforeEach(({ skip }) => skip(!canRun, `${image} runs in a container, and no Docker daemon answers here`))

  describeTransport(`the transport over ${image}`, async (): Promise<TransportHarness> => {
    if (!canRun) {
      const unused = (): Promise<never> => Promise.reject(new Error('no container was started'))
      return { connect: unused, [Symbol.asyncDispose]: async () => {} }
    }
    const broker = await start()

    return {
      connect: () => openTransport([broker.url], { name: 'test', heartbeatSeconds: 1 }),
      [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
    }
  })

  test('a fleet starts and stops over it, in order', async () => {
    await using broker = await start()
    await using fleet = await openFleet(broker.url)
    await fleet.bringUp()
    expect(await fleet.filo('stop', '--yes')).toMatchObject({ code: 0 })
    expect(fleet.services.effects()).toEqual(
      Object.keys(fourInARow)
        .toReversed()
        .map((name) => `${name} down`),
    )
    const doctor = await fleet.filo('doctor')
    expect(doctor.stdout).not.toContain('wrong ')
  })
})
