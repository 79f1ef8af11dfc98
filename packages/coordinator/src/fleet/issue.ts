import type * as z from 'zod'
import type { FleetText, Path } from './fleet-text.ts'
import { hint, nearest } from './problem.ts'
import { managerKeys } from './manager-schema.ts'

type Issue = z.core.$ZodIssue

/** Notes what zod found wrong, each fault at its place in the file and in words for an administrator. */
export function addIssues(text: FleetText, issues: readonly Issue[]): void {
  for (const issue of issues.flatMap((each) => leaves(each, []))) addIssue(text, issue)
}

/** Of a union, what is wrong with the one branch that has the type of the value; the union itself where none has. */
function leaves(issue: Issue, base: Path): Issue[] {
  const path = [...base, ...issue.path]
  if (issue.code === 'invalid_union') {
    const near = issue.errors.filter((branch) => !branch.some(isAboutType))
    if (near.length === 1) return near[0]!.flatMap((each) => leaves(each, path))
  }
  return [{ ...issue, path }]
}

/** A word that is none of those expected says of a mapping only that it is no word. */
function isAboutType(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
}

function addIssue(text: FleetText, issue: Issue): void {
  const where = issue.path.length === 0 ? '' : `${dotted(issue.path)}: `
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) {
      text.add([...issue.path, key], 'key', () => {
        const known = issue.message.split(', ')
        return `${where}unknown key "${key}"${unknownKeyHint(key, known, issue.path)}`
      })
    }
    return
  }
  if (issue.code === 'invalid_key') {
    const key = String(issue.path.at(-1))
    const parent = dotted(issue.path.slice(0, -1))
    text.add(issue.path, 'key', () => `${parent}: expected ${issue.issues[0]!.message}; found "${key}"`)
    return
  }
  const value = valueAt(text.value, issue.path)
  if (value === undefined) {
    const parent = issue.path.slice(0, -1)
    const prefix = parent.length === 0 ? '' : `${dotted(parent)}: `
    const missing = typeof issue.path.at(-1) === 'number' ? 'an item' : `"${String(issue.path.at(-1))}"`
    // What is not there stands where the nearest thing does that is.
    text.add(issue.path, 'key', () => `${prefix}${missing} is missing; expected ${issue.message}`)
    return
  }
  text.add(
    issue.path,
    'value',
    () => `${where}expected ${issue.message}; found ${describe(value, issue.path)}`,
  )
}

/** An unknown key of a service may be the manager that its author wants. */
function unknownKeyHint(key: string, known: string[], path: Path): string {
  const inService = path.length === 2 && path[0] === 'services'
  if (!inService || nearest(key, known) !== undefined) return hint(key, known)
  return `; the managers are ${managerKeys.join(', ')}, the other keys ${known
    .filter((each) => !managerKeys.includes(each as (typeof managerKeys)[number]))
    .join(', ')}`
}

/** All on the way there is: of what is missing, zod says nothing of what would be in it. */
function valueAt(root: unknown, path: Path): unknown {
  return path.reduce((value, segment) => (value as Record<PropertyKey, unknown>)[segment], root)
}

/** What was found, for a person. URLs of brokers and supervisord's access hold passwords, so they are not repeated. */
function describe(value: {} | null, path: Path): string {
  const secret = path[0] === 'broker' || path.at(-1) === 'password'
  if (typeof value === 'string') {
    if (secret) return value.includes(':') ? `"${value.slice(0, value.indexOf(':') + 1)}…"` : 'another string'
    return value.length > 80 ? `"${value.slice(0, 80)}…"` : `"${value}"`
  }
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`
  if (typeof value === 'boolean') return `${value}`
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  return Object.keys(value).length === 0 ? 'an empty mapping' : 'a mapping'
}

/** `services.mta.needs[0].scope` */
export function dotted(path: Path): string {
  return path
    .map((segment, index) =>
      typeof segment === 'number' ? `[${segment}]` : `${index === 0 ? '' : '.'}${String(segment)}`,
    )
    .join('')
}
