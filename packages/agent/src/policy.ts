import type { Task } from '@filo/protocol'
import * as z from 'zod'

// A host's own word on what may be done to it, whoever asks. It stands in a file of the host, which no message and no
// configuration from a coordinator reaches.
//
// L1. What cannot be read forbids everything.
// L2. Each task is judged by the policy as it stands at that moment.

/** `*` stands for any characters. */
const Pattern = z.string().min(1).max(200)
const oneOrMore = <Schema extends z.ZodType>(schema: Schema) => z.union([schema, z.array(schema).min(1)])

/** A part of the day, by the host's own clock and time zone; one that ends before it begins goes on past midnight. */
const Hours = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'expected hours such as 22:00-06:00')
  .refine((hours) => hours.slice(0, 5) !== hours.slice(6), 'begins when it ends')

const Rule = z.strictObject({
  services: oneOrMore(Pattern).optional(),
  verbs: oneOrMore(z.enum(['start', 'stop', 'reboot', 'halt'])).optional(),
  operators: oneOrMore(Pattern).optional(),
  hours: oneOrMore(Hours).optional(),
})

/** What `policy.yaml` may say. */
export const PolicyFile = z.strictObject({
  /** What is allowed; absent: everything. Of several rules one suffices; what a rule leaves out it does not ask for. */
  allow: oneOrMore(Rule).optional(),
  /** Nothing is begun: from now on, or until a time. */
  freeze: z
    .union(
      [z.literal('on'), z.iso.datetime({ offset: true }), z.iso.datetime({ offset: true, precision: -1 })],
      {
        error: 'expected on, or a time with its zone such as 2026-11-21T06:00+01:00',
      },
    )
    .optional(),
  /** Why, for those who are refused. */
  because: z.string().max(200).optional(),
})
export type PolicyFile = z.infer<typeof PolicyFile>

/** Where it stands, and what it says or why that cannot be known. */
export type Policy = { readonly file: string } & (
  | { readonly kind: 'read'; readonly says: PolicyFile }
  | { readonly kind: 'unreadable'; readonly why: string }
)

/** What a host without a policy of its own goes by. */
export const noPolicy: Policy = { kind: 'read', file: '', says: {} }

/** A moment, as the host's own clock and time zone have it. */
export interface LocalTime {
  readonly epochMs: number
  readonly minuteOfDay: number
}

/** Nothing is begun at all. */
export interface Standstill {
  /** Milliseconds since 1970; null: until somebody ends it. */
  readonly untilMs: number | null
  readonly why: string
}

export function standstillOf(policy: Policy, now: LocalTime): Standstill | undefined {
  const { file } = policy
  if (policy.kind === 'unreadable') {
    return { untilMs: null, why: `${file} cannot be read, so it forbids everything: ${policy.why}` }
  }
  const { freeze, because } = policy.says
  const reason = because === undefined ? '' : ` (${because})`
  if (freeze === undefined) return undefined
  if (freeze === 'on') return { untilMs: null, why: `frozen by ${file}${reason}` }
  const untilMs = Date.parse(freeze)
  if (now.epochMs >= untilMs) return undefined
  return { untilMs, why: `frozen until ${freeze} by ${file}${reason}` }
}

/** Why a policy forbids some of these tasks now; undefined where it allows all. */
export function objectionTo(
  tasks: readonly Task[],
  operator: string,
  policy: Policy,
  now: LocalTime,
): string | undefined {
  if (tasks.length === 0) return undefined
  const standstill = standstillOf(policy, now)
  if (standstill !== undefined) return standstill.why
  const rules = policy.kind === 'read' ? policy.says.allow : undefined
  if (rules === undefined) return undefined
  const forbidden = tasks.filter(
    (task) => !listed(rules).some((rule) => isAllowedBy(rule, task, operator, now)),
  )
  if (forbidden.length === 0) return undefined
  const [first, ...more] = forbidden.map(wordsOf)
  const rest = more.length === 0 ? '' : `, nor ${more.length} more`
  return `${policy.file} does not allow ${operator} to ${first}${rest}${hoursFor(rules, forbidden, operator, now)}`
}

/** When it would be allowed, where only the hour is wrong. */
function hoursFor(
  rules: z.infer<typeof PolicyFile.shape.allow> & {},
  forbidden: readonly Task[],
  operator: string,
  now: LocalTime,
): string {
  const hours = listed(rules)
    .filter((rule) =>
      forbidden.every((task) => isAllowedBy({ ...rule, hours: undefined }, task, operator, now)),
    )
    .flatMap((rule) => listed(rule.hours ?? []))
  return hours.length === 0
    ? ''
    : `: only at ${hours.join(', ')}, and it is ${clockOf(now.minuteOfDay)} there`
}

type Rule = z.infer<typeof Rule>

function isAllowedBy(rule: Rule, task: Task, operator: string, { minuteOfDay }: LocalTime): boolean {
  const { services, verbs, operators, hours } = rule
  const verb = verbOf(task)
  // What is done to the whole host is done to every service on it.
  if (services !== undefined && !('service' in task && isAmong(services, task.service))) return false
  if (verbs !== undefined && !listed(verbs).includes(verb)) return false
  if (operators !== undefined && !isAmong(operators, operator)) return false
  return hours === undefined || listed(hours).some((each) => isWithin(each, minuteOfDay))
}

/** A hook is part of what it goes before or comes after. */
function verbOf(task: Task): 'start' | 'stop' | 'reboot' | 'halt' {
  if (task.verb !== 'hook') return task.verb
  return task.hook === 'before_stop' || task.hook === 'after_stop' ? 'stop' : 'start'
}

function wordsOf(task: Task): string {
  if (!('service' in task)) return `${task.verb} the host`
  return task.verb === 'hook' ? `run ${task.hook} of ${task.service}` : `${task.verb} ${task.service}`
}

function isAmong(patterns: string | readonly string[], name: string): boolean {
  return listed(patterns).some((pattern) => {
    const parts = pattern.split('*').map((part) => RegExp.escape(part))
    return new RegExp(`^${parts.join('.*')}$`, 's').test(name)
  })
}

function isWithin(hours: string, minuteOfDay: number): boolean {
  const from = minutesOf(hours.slice(0, 5))
  const to = minutesOf(hours.slice(6))
  return from < to ? from <= minuteOfDay && minuteOfDay < to : from <= minuteOfDay || minuteOfDay < to
}

function minutesOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))
}

function clockOf(minuteOfDay: number): string {
  const two = (number: number): string => String(number).padStart(2, '0')
  return `${two(Math.floor(minuteOfDay / 60))}:${two(minuteOfDay % 60)}`
}

function listed<Value>(oneOrMany: Value | readonly Value[]): readonly Value[] {
  return Array.isArray(oneOrMany) ? oneOrMany : [oneOrMany as Value]
}
