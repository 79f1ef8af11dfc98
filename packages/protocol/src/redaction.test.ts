import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Redactor } from './redaction.ts'

const usual = new Redactor()

test.for([
  ['password=hunter2', 'password=*******'],
  ['DB_PASSWORD="two words" next', 'DB_PASSWORD="********" next'],
  ["passwd: 'it\\'s'; user: bob", "passwd: '*****'; user: bob"],
  ['{"client_secret":"abc\\"def","id":7}', '{"client_secret":"********","id":7}'],
  ['{"msg":"said {\\"token\\":\\"abcdef\\"}"}', '{"msg":"said {\\"token\\":\\"******\\"}"}'],
  ['api-key => k1k2k3, next', 'api-key => ******, next'],
  ['mysql --user=root --password hunter2 -e x', 'mysql --user=root --password ******* -e x'],
  ["create role x identified by 'pw1'", "create role x identified by '***'"],
  ['Authorization: Basic dXNlcjpwYXNz', 'Authorization: Basic ********'],
  ['sent Bearer abcdefghijklmnop to it', 'sent Bearer ******** to it'],
  ['amqp://filo:p@ss@broker:5672/', 'amqp://filo:****@broker:5672/'],
  ['got ghp_0123456789abcdefghij0123', 'got ********'],
  ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter', '********\nafter'],
] as const)('%s', ([said, redacted]) => {
  expect(usual.redact(said)).toBe(redacted)
  expect(usual.redact(redacted), 'twice is as once').toBe(redacted)
})

test.for([
  'started (pid 4711)',
  'active (running) since Mon',
  'exit status 1: https://example.net/login is not ready',
  'listening on tcp://0.0.0.0:5432, 3 processes',
  'the password is wrong',
])('nothing is hidden in: %s', (said) => expect(usual.redact(said)).toBe(said))

test('a known secret is hidden however it is spelled, and whatever stands around it', () => {
  const secret = 'Zürich/"42"+7'
  const redactor = new Redactor([secret, 'Zürich/'])
  const spellings = [
    secret,
    encodeURIComponent(secret),
    JSON.stringify({ it: secret }),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('base64url'),
  ]
  for (const spelling of spellings)
    expect(redactor.redact(`<${spelling}>`)).toMatch(/^<(\{"it":")?\*{8}("\}|=*)>$/)
  const bytes = Buffer.from(`<${secret}>`).toString('latin1')
  expect(redactor.ofBytes.ranges(bytes)).toEqual([[1, 1 + Buffer.byteLength(secret)]])
})

test('no text grows by it, and no line of JSON is spoilt', () => {
  const redactor = new Redactor(['hunter2'])
  const words = fc.constantFrom(
    'password',
    '=',
    ':',
    ' ',
    '"',
    '\\',
    "'",
    'hunter2',
    '\n',
    '--token ',
    'x',
    '://u:',
    '@',
  )
  fc.assert(
    fc.property(fc.array(words, { maxLength: 30 }), (parts) => {
      const said = parts.join('')
      expect(redactor.redact(said).length).toBeLessThanOrEqual(said.length)
      const line = redactor.redactJson(JSON.stringify({ level: 30, err: { message: said } }))
      expect(JSON.parse(line)).toEqual({ level: 30, err: { message: redactor.redact(said) } })
      expect(line).not.toContain('hunter2')
    }),
  )
})

test('what takes long to search takes no longer than its length', () => {
  const hard = [
    'a.'.repeat(30_000),
    'password'.repeat(8000),
    'x://'.repeat(16_000),
    '-'.repeat(65_000),
    '"\\'.repeat(30_000),
  ]
  for (const said of hard) {
    const began = process.cpuUsage()
    usual.redact(said)
    const { user } = process.cpuUsage(began)
    expect(user / 1000, said.slice(0, 20)).toBeLessThan(500)
  }
})
