import { appendFileSync, copyFileSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { makeKeyPair } from '@filo/protocol'
import { expect, test } from 'vitest'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import {
  acceptHostKey,
  makeCoordinatorKey,
  makeHostKey,
  readCoordinatorKeys,
  readHostKey,
  readHostSecret,
  readOldKey,
  revokeHostKey,
  revokeOldKey,
  rotateCoordinatorKey,
} from './keys.ts'

test('a key that replaces another signs first, the other beside it until it is revoked, and both are for their owner only', () => {
  using dir = tempDir()
  const first = makeCoordinatorKey(dir.path)!
  expect(makeCoordinatorKey(dir.path)).toBeUndefined()
  const second = rotateCoordinatorKey(dir.path)
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([second.id, first.id])
  for (const name of ['coordinator.key', 'coordinator-old.key']) {
    expect(statSync(join(dir.path, name)).mode & 0o777).toBe(0o600)
  }
  revokeOldKey(dir.path, readOldKey(dir.path)!)
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([second.id])
  expect(existsSync(join(dir.path, 'coordinator-old.key'))).toBe(false)
})

test('a rotation or revocation that ended in its midst leaves the key that was in use, and can be repeated', () => {
  using dir = tempDir()
  const first = makeCoordinatorKey(dir.path)!
  copyFileSync(join(dir.path, 'coordinator.key'), join(dir.path, 'coordinator-old.key'))
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([first.id])
  const second = rotateCoordinatorKey(dir.path)
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([second.id, first.id])
  // Noted as revoked, and its file not yet removed.
  appendFileSync(join(dir.path, 'revoked'), `${first.id}\n`)
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([second.id])
  const third = rotateCoordinatorKey(dir.path)
  expect(readCoordinatorKeys(dir.path).map(({ id }) => id)).toEqual([third.id, second.id])
})

test('a key of a host that was accepted takes the place of one that was made here, and a revoked one of none', () => {
  using dir = tempDir()
  makeHostKey(dir.path, 'mail1')
  const { verifying } = makeKeyPair()
  acceptHostKey(dir.path, 'mail1', verifying)
  expect(readHostKey(dir.path, 'mail1')?.id).toBe(verifying.id)
  expect(readHostSecret(dir.path, 'mail1')).toBeUndefined()
  revokeHostKey(dir.path, 'mail1', verifying)
  expect(readHostKey(dir.path, 'mail1')).toBeUndefined()
  // Brought back from a backup, it is revoked all the same.
  acceptHostKey(dir.path, 'mail1', verifying)
  expect(readHostKey(dir.path, 'mail1')).toBeUndefined()
})
