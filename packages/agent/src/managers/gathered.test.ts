import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { gather, gatherEach } from './gathered.ts'

/** Answers when it is told to; notes what it was asked. */
function askedByHand() {
  const questions: { items: readonly string[]; answer: () => void; signal: AbortSignal }[] = []
  const ask = gather<string, string>(
    (items, signal) =>
      new Promise((resolve) => {
        const answers = items.map((item) => `${item} at ${questions.length}`)
        questions.push({ items, answer: () => resolve(answers), signal })
      }),
    (item) => `${item} cut short`,
  )
  return { ask, questions }
}

const never = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what is asked at the same moment is one question, each item once', async () => {
  const { ask, questions } = askedByHand()
  const asked = [ask(['a', 'b'], never), ask(['b'], never), ask(['c', 'a'], never)]
  await turn()
  expect(questions.map(({ items }) => items)).toEqual([['a', 'b', 'c']])
  questions[0]!.answer()
  expect(await Promise.all(asked)).toEqual([['a at 0', 'b at 0'], ['b at 0'], ['c at 0', 'a at 0']])
})

test('what is asked while an answer is under way is not answered by it, but together by the next', async () => {
  const { ask, questions } = askedByHand()
  const first = ask(['a'], never)
  await turn()
  const later = [ask(['a'], never), ask(['b'], never)]
  await turn()
  expect(questions).toHaveLength(1)
  questions[0]!.answer()
  expect(await first).toEqual(['a at 0'])
  await turn()
  questions[1]!.answer()
  expect(await Promise.all(later)).toEqual([['a at 1'], ['b at 1']])
})

test('an answer that does not come delays the next question by moments only', async () => {
  const { ask, questions } = askedByHand()
  void ask(['hangs'], never)
  await turn()
  const later = ask(['a'], never)
  while (questions.length < 2) await delay(5)
  questions[1]!.answer()
  expect(await later).toEqual(['a at 1'])
})

test('who aborts waits no longer, and what nobody waits for is cut short', async () => {
  const { ask, questions } = askedByHand()
  const one = new AbortController()
  const other = new AbortController()
  const asked = [ask(['a'], one.signal), ask(['b'], other.signal)]
  await turn()
  one.abort()
  expect(await asked[0]).toEqual(['a cut short'])
  expect(questions[0]!.signal.aborted).toBe(false)
  other.abort()
  expect(await asked[1]).toEqual(['b cut short'])
  expect(questions[0]!.signal.aborted).toBe(true)
  expect(await ask(['c'], AbortSignal.abort())).toEqual(['c cut short'])
  expect(await ask([], never)).toEqual([])
})

test('what cannot be asked is told to all who asked, and they may ask again', async () => {
  let count = 0
  const ask = gather<string, number>(
    () => (count++ === 0 ? Promise.reject(new Error('no luck')) : Promise.resolve([count])),
    () => 0,
  )
  const asked = [ask(['a'], never), ask(['a'], never)]
  for (const each of asked) await expect(each).rejects.toThrow('no luck')
  expect(await ask(['a'], never)).toEqual([2])
})

test('of several who are asked, one that does not answer keeps no other from being heard', async () => {
  const asked: string[] = []
  const ask = gatherEach<{ who: string }, string>(
    ({ who }) => who,
    ({ who }) => {
      asked.push(who)
      return who === 'mute' ? new Promise(() => {}) : Promise.resolve(`${who} answers`)
    },
    ({ who }) => `${who} was cut short`,
  )
  const aborting = new AbortController()
  const mute = ask({ who: 'mute' }, aborting.signal)
  const heard = [ask({ who: 'one' }, never), ask({ who: 'one' }, never), ask({ who: 'other' }, never)]
  expect(await Promise.all(heard)).toEqual(['one answers', 'one answers', 'other answers'])
  aborting.abort()
  expect(await mute).toBe('mute was cut short')
  expect(asked).toEqual(['mute', 'one', 'other'])
})
