import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '../../../../test/support/temp-dir.ts'
import { askerBy } from './ask-svstat.ts'

test('a directory that keeps svstat from coming back hides no other', async () => {
  using dir = tempDir()
  const svstat = join(dir.path, 'svstat')
  const answers =
    'for service; do [ "$service" != /dead-mount ] || sleep 60; echo "$service: down 9 seconds"; done'
  writeFileSync(svstat, `#!/bin/sh\n${answers}\n`)
  chmodSync(svstat, 0o755)
  const services = ['/dead-mount', '/a', '/b']
  const [hung, ...others] = await askerBy(svstat)(services, new AbortController().signal)
  expect(hung).toMatchObject({
    state: 'unknown',
    live: 'unknown',
    detail: expect.stringContaining('cut short'),
  })
  expect(others).toMatchObject([{ words: 'down 9 seconds' }, { words: 'down 9 seconds' }])
})
