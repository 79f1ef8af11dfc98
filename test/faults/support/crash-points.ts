// Loaded into a real `filo` or `filo-agent` by NODE_OPTIONS=--import. Names every moment around a write to its journal
// or ledger, a send and a start of a process, notes each in a file, and kills its own process at the one it is told.
// The programs know nothing of it: what they call is changed from outside before their first line.
//
// FILO_POINTS    where the moments are noted, a JSON array a line: [life, point], or [life, point, "killed"]
// FILO_LIFE      what the lines begin with
// FILO_CRASH_AT  the point at which to die; none where empty

import childProcess from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync, StatementSync } from 'node:sqlite'
import { messageType } from './message-type.ts'

const { FILO_POINTS: file = '/dev/null', FILO_LIFE: life = '', FILO_CRASH_AT: crashAt = '' } = process.env

/** A moment may have several names: a transaction, all that it writes. */
function reach(...points: readonly string[]): void {
  if (points.length === 0) return
  const isLast = points.includes(crashAt)
  const lines = [...new Set(points)].map((point) =>
    JSON.stringify(isLast ? [life, point, 'killed'] : [life, point]),
  )
  appendFileSync(file, lines.map((line) => `${line}\n`).join(''))
  if (isLast) process.kill(process.pid, 'SIGKILL')
}

/** A method of a class, to be called on whatever it was called on. */
function methodOf(of: { readonly prototype: object }, name: string): unknown {
  return Reflect.get(of.prototype, name)
}

// ---- writes ---------------------------------------------------------------------------------------------------

/** What the transaction of this moment has written so far. */
let written: string[] = []

/** What a write is about: the kinds of the events in it, or its verb and table. */
function nameOf(sql: string, params: readonly unknown[]): string | undefined {
  const match = /^\s*(insert|update|delete)\b(?: or \w+)?(?: into| from)? (\w+)/i.exec(sql)
  if (match === null) return undefined
  const [, verb, table] = match
  const holdsEvent = table === 'run_event' || table === 'audit_event'
  if (!holdsEvent) return `${verb} ${table}`
  const { type } = JSON.parse(String(params.at(-1))) as { type: string }
  return `${table} ${type}`
}

/** Statements do not tell which database they are of. */
const databases = new WeakMap<StatementSync, DatabaseSync>()
const prepare = methodOf(DatabaseSync, 'prepare') as (sql: string) => StatementSync
DatabaseSync.prototype.prepare = function (this: DatabaseSync, sql: string): StatementSync {
  const statement = prepare.call(this, sql)
  databases.set(statement, this)
  return statement
}

/** Carries out SQL, and stops by where a transaction ends. */
function around<Value>(db: DatabaseSync, sql: string, carryOut: () => Value): Value {
  if (/^\s*begin immediate\s*$/.test(sql)) written = []
  if (!/\bcommit\s*$/.test(sql)) return carryOut()
  // Opening a database writes nothing where all is there; it is a moment all the same.
  const names = sql.trim() === 'commit' ? written : ['schema']
  const where = basename(db.location() ?? '')
  reach(...names.map((name) => `${where}: before ${name}`))
  const value = carryOut()
  reach(...names.map((name) => `${where}: after ${name}`))
  return value
}

const exec = methodOf(DatabaseSync, 'exec') as (sql: string) => void
DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
  around(this, sql, () => exec.call(this, sql))
}

for (const method of ['run', 'get', 'all'] as const) {
  const original = methodOf(StatementSync, method) as (...params: unknown[]) => unknown
  const changed = function (this: StatementSync, ...params: unknown[]): unknown {
    const name = nameOf(this.sourceSQL, params)
    if (name !== undefined) written.push(name)
    return around(databases.get(this)!, this.sourceSQL, () => original.call(this, ...params))
  }
  StatementSync.prototype[method] = changed as never
}

// ---- sends ----------------------------------------------------------------------------------------------------

/** What is sent; undefined for what is none of Filo's messages. */
function sentType(to: string, content: Uint8Array): string | undefined {
  if (to.startsWith('filo.events')) return 'event'
  return /^filo\.(agent|coordinator)s?\b/.test(to) ? messageType(content) : undefined
}

function reachWritten(type: string): void {
  // Client libraries give what they are to send to the socket one turn of the event loop later.
  setImmediate(() => setImmediate(() => reach(`send ${type}: written`)))
}

const require = createRequire(import.meta.url)

/** A file of a package that it does not offer: named by its place. */
function innards(of: string, ...path: readonly string[]): unknown {
  return require(join(dirname(require.resolve(of)), ...path))
}

interface AmqpChannel {
  publish(
    exchange: string,
    key: string,
    content: Buffer,
    options: unknown,
    done: (error: unknown) => void,
  ): boolean
}

const { ConfirmChannel } = innards('amqplib', 'lib', 'channel_model.js') as {
  ConfirmChannel: { prototype: AmqpChannel }
}
const publishAmqp = methodOf(ConfirmChannel, 'publish') as AmqpChannel['publish']
ConfirmChannel.prototype.publish = function (this: AmqpChannel, exchange, key, content, options, done) {
  const type = sentType(exchange, content)!
  reach(`send ${type}: before`)
  reachWritten(type)
  return publishAmqp.call(this, exchange, key, content, options, (error: unknown) => {
    reach(`send ${type}: confirmed`)
    done(error)
  })
}

interface NatsConnection {
  publish(subject: string, content: Uint8Array, options?: unknown): void
  request(subject: string, content: Uint8Array, options?: unknown): Promise<unknown>
  flush(): Promise<void>
}

const { NatsConnectionImpl } = innards('@nats-io/nats-core', 'nats.js') as {
  NatsConnectionImpl: { prototype: NatsConnection }
}
const nats = {
  publish: methodOf(NatsConnectionImpl, 'publish') as NatsConnection['publish'],
  request: methodOf(NatsConnectionImpl, 'request') as NatsConnection['request'],
  flush: methodOf(NatsConnectionImpl, 'flush') as NatsConnection['flush'],
}
/** What a server confirms by its next PONG. */
let unconfirmed: string[] = []
NatsConnectionImpl.prototype.publish = function (this: NatsConnection, subject, content, options) {
  const type = sentType(subject, content)
  if (type === undefined) return nats.publish.call(this, subject, content, options)
  reach(`send ${type}: before`)
  reachWritten(type)
  if (type !== 'event') unconfirmed.push(type)
  nats.publish.call(this, subject, content, options)
}
NatsConnectionImpl.prototype.flush = async function (this: NatsConnection) {
  const flushed = unconfirmed
  unconfirmed = []
  await nats.flush.call(this)
  for (const type of flushed) reach(`send ${type}: confirmed`)
}
// JetStream confirms each event by a reply.
NatsConnectionImpl.prototype.request = async function (this: NatsConnection, subject, content, options) {
  const reply = await nats.request.call(this, subject, content, options)
  if (subject.startsWith('filo.events.')) reach('send event: confirmed')
  return reply
}

// ---- starts of processes --------------------------------------------------------------------------------------

const { spawn } = childProcess
childProcess.spawn = function (program: string, args: readonly string[], ...rest: unknown[]) {
  // Scripts begin behind a gate: a shell that waits until their process group is noted.
  const argv = program === '/bin/sh' ? args.slice(3) : [program, ...args]
  const name = `process ${argv.map((word) => basename(word)).join(' ')}`
  reach(`${name}: before`)
  const child = (spawn as (...all: unknown[]) => unknown)(program, args, ...rest)
  reach(`${name}: after`)
  return child
} as never
syncBuiltinESMExports()
