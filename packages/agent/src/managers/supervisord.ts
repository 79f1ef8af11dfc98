import { cut, type SupervisordDefinition } from '@filo/protocol'
import * as z from 'zod'
import { printable } from '../printable.ts'
import { gatherEach } from './gathered.ts'
import type { Act, Attempt, Manager, Sighting } from './manager.ts'
import { membersOf, ProcessInfo, see } from './supervisord-state.ts'
import { call, Fault, NoAnswer, type Argument } from './xml-rpc.ts'

// supervisord by its own XML-RPC (http://supervisord.org/api.html), over the socket that supervisorctl uses.

export const supervisord: Manager<SupervisordDefinition> = {
  kind: 'supervisord',
  observe,
  start: (definition, action) => change(definition, 'start', action),
  stop: (definition, action) => change(definition, 'stop', action),
  // Whoever may use its socket may ask it for anything.
  rootCommands: () => [],
}

const askTimeoutMs = 5000

/** Programs are started in ascending order of priority and stopped in descending order, as supervisord itself does. */
const ProcessConfig = z.object({ name: z.string(), group: z.string(), process_prio: z.number() })

/** What startProcessGroup and stopProcessGroup answer for each program. */
const GroupAnswer = z.object({ name: z.string(), status: z.int(), description: z.string() })

/** supervisor/xmlrpc.py, class Faults. */
const faults = {
  badName: 10,
  noFile: 20,
  notExecutable: 21,
  abnormalTermination: 40,
  spawnError: 50,
  alreadyStarted: 60,
  notRunning: 70,
  success: 80,
} as const

const faultWords: Readonly<Record<number, string>> = {
  6: 'supervisord is shutting down',
  [faults.badName]: 'no such program',
  [faults.noFile]: 'the program file does not exist',
  [faults.notExecutable]: 'the program file is not executable',
  [faults.abnormalTermination]: 'it ended while it was being started: see its log',
  [faults.spawnError]: 'it cannot be spawned, or ended at once: see its log and that of supervisord',
  [faults.alreadyStarted]: 'it was started already',
  [faults.notRunning]: 'it was not running',
}

async function observe(
  definitions: readonly SupervisordDefinition[],
  signal: AbortSignal,
): Promise<Sighting[]> {
  return await Promise.all(
    definitions.map(async (definition) => {
      const answer = await askTogether(definition, signal)
      return typeof answer === 'string' ? unknown(answer) : see(definition, answer)
    }),
  )
}

type Answer = readonly ProcessInfo[] | string

const askTogether = gatherEach<SupervisordDefinition, Answer>(endpointOf, askAll, () => 'cut short')

/** What is asked once: one supervisord as one user. */
function endpointOf({ socket, username, password }: SupervisordDefinition): string {
  return JSON.stringify([socket, username, password])
}

/** All that supervisord knows, or why it cannot be told. */
async function askAll(definition: SupervisordDefinition, signal: AbortSignal): Promise<Answer> {
  const timeUp = AbortSignal.any([signal, AbortSignal.timeout(askTimeoutMs)])
  try {
    const answer = await call(definition, 'supervisor.getAllProcessInfo', [], timeUp)
    const infos = z.array(ProcessInfo).safeParse(answer)
    return infos.success
      ? infos.data
      : `${definition.socket}: supervisord answers in a form that is not known`
  } catch (error) {
    if (error instanceof Fault) return `supervisord refuses: ${faultText(error.code, error.message)}`
    if (error instanceof NoAnswer) return error.message
    throw error
  }
}

/**
 * Without an answer nothing is proven: programs may outlive a supervisord that was killed, and the socket may be
 * another one's.
 */
function unknown(why: string): Sighting {
  return {
    state: 'unknown',
    live: 'unknown',
    detail: cut(
      `supervisord does not answer (${why}): check that it runs, and that its [unix_http_server] or ` +
        `[inet_http_server] is the one declared as socket`,
    ),
  }
}

type Verb = 'start' | 'stop'

/** supervisord answers when a program is up for its `startsecs`, or has ended: lines tell of each as it comes. */
async function change(definition: SupervisordDefinition, verb: Verb, action: Act): Promise<Attempt> {
  try {
    if (definition.program !== undefined)
      return await changeProgram(definition, definition.program, verb, action)
    if (definition.together) return await changeTogether(definition, verb, action)
    return await changeInSeries(definition, verb, action)
  } catch (error) {
    if (error instanceof Fault) return refused(`${verb}: ${faultText(error.code, error.message)}`)
    if (error instanceof NoAnswer) return refused(`${verb}: ${error.message}`)
    throw error
  }
}

async function changeProgram(
  definition: SupervisordDefinition,
  name: string,
  verb: Verb,
  action: Act,
): Promise<Attempt> {
  try {
    await ask(definition, `supervisor.${verb}Process`, [name, true], action)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return answerOf(verb, name, error.code, error.message, action)
  }
  return answerOf(verb, name, faults.success, '', action)
}

/** One after another; the first that will not go ends the series, since those behind it may build on it. */
async function changeInSeries(definition: SupervisordDefinition, verb: Verb, action: Act): Promise<Attempt> {
  const answer = await ask(definition, 'supervisor.getAllConfigInfo', [], action)
  const configs = z.array(ProcessConfig).safeParse(answer)
  if (!configs.success) return refused('supervisord answers in a form that is not known')
  const members = membersOf(definition, configs.data).toSorted((a, b) => a.process_prio - b.process_prio)
  if (members.length === 0) return refused(`${verb}: no such group`)
  const attempts: Attempt[] = []
  for (const { group, name } of verb === 'start' ? members : members.toReversed()) {
    const attempt = await changeProgram(definition, `${group}:${name}`, verb, action)
    attempts.push(attempt)
    if (!attempt.accepted) break
  }
  return summary(attempts)
}

async function changeTogether(definition: SupervisordDefinition, verb: Verb, action: Act): Promise<Attempt> {
  const { group } = definition
  const answer = await ask(definition, `supervisor.${verb}ProcessGroup`, [group!, true], action)
  const answers = z.array(GroupAnswer).safeParse(answer)
  if (!answers.success) return refused('supervisord answers in a form that is not known')
  return summary(
    answers.data.map(({ name, status, description }) =>
      answerOf(verb, `${group}:${name}`, status, description, action),
    ),
  )
}

async function ask(
  definition: SupervisordDefinition,
  method: string,
  args: readonly Argument[],
  { signal }: Act,
): Promise<unknown> {
  if (signal.aborted) throw new NoAnswer('cut short before it was asked')
  return await call(definition, method, args, signal)
}

/** What is already where it should be was not refused. */
function answerOf(verb: Verb, name: string, code: number, text: string, { onLine }: Act): Attempt {
  const already: number = verb === 'start' ? faults.alreadyStarted : faults.notRunning
  const detail = cut(`${verb} ${name}: ${code === faults.success ? 'done' : faultText(code, text)}`)
  onLine(detail)
  return { accepted: code === faults.success || code === already, detail }
}

function summary(attempts: readonly Attempt[]): Attempt {
  const refusals = attempts.filter(({ accepted }) => !accepted)
  const told = refusals.length > 0 ? refusals : attempts
  return {
    accepted: refusals.length === 0,
    detail: cut(told.map(({ detail }) => detail).join('; ') || 'nothing to do'),
  }
}

function refused(detail: string): Attempt {
  return { accepted: false, detail: cut(detail) }
}

function faultText(code: number, text: string): string {
  const words = faultWords[code]
  return printable(words === undefined ? text : `${words} (${text})`)
}
