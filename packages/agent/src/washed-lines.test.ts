import { Redactor } from '@filo/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { WashedLines } from './washed-lines.ts'

const secret = 'correct horse battery'

/** What comes out of text that comes in pieces of these sizes. */
function wash(text: string, sizes: readonly number[]): string {
  const lines = new WashedLines(new Redactor([secret]))
  const out: Buffer[] = []
  let rest = Buffer.from(text)
  for (const size of [...sizes, rest.length]) {
    out.push(...lines.take(rest.subarray(0, size)).map(({ bytes }) => bytes))
    rest = rest.subarray(size)
  }
  return Buffer.concat([...out, lines.end().bytes]).toString()
}

test('however the bytes come, as many go out, without the secret, and all else as it was', () => {
  const words = fc.constantFrom(secret, 'x', '\n', '\r\n', 'grün ', 'password=abc ', 'y'.repeat(5000))
  const sizes = fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 20 })
  fc.assert(
    fc.property(fc.array(words, { maxLength: 20 }), sizes, (parts, pieces) => {
      const text = parts.join('')
      const washed = wash(text, pieces)
      expect(washed).toHaveLength(text.length)
      expect(washed).not.toContain(secret)
      expect(washed).not.toContain('abc')
      expect(washed.replaceAll('*', '')).toBe(text.replaceAll(secret, '').replaceAll('=abc', '='))
    }),
  )
})

test('a secret across the end of a part of a long line is hidden in both', () => {
  for (let at = 16 * 1024 - secret.length; at <= 16 * 1024; at += 1) {
    expect(wash(`${'x'.repeat(at - 1024)}${secret}${'y'.repeat(2000)}`, [16 * 1024])).not.toMatch(
      /horse|battery/,
    )
  }
})

test('a private key is hidden from its first line to its last', () => {
  const key = ['-----BEGIN PRIVATE KEY-----', 'MC4CAQAw', 'BQYDK2Vw', '-----END PRIVATE KEY-----', ''].join(
    '\n',
  )
  const washed = wash(`before\n${key}after\n`, [30, 3, 20])
  expect(washed).toMatch(/^before\n[*\n]+after\n$/)
  expect(washed).toHaveLength(`before\n${key}after\n`.length)
})
