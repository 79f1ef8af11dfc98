/**
 * How long what is asked waits for an answer that is under way, milliseconds: long enough for the next question to be
 * one for many, and short enough that a manager which answers nobody delays nobody by more.
 */
const longestWaitMs = 50

/** Asks for all items at once: one answer for each, in their order. */
export type Ask<Item, Answer> = (items: readonly Item[], signal: AbortSignal) => Promise<readonly Answer[]>

/** One who has asked, and waits. */
interface Asker<Item, Answer> {
  readonly items: readonly Item[]
  readonly signal: AbortSignal
  readonly resolve: (answers: readonly Answer[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * `ask` for those who ask side by side, such as the actions of one host: what is asked at the same moment, or while an
 * answer is under way, is asked as one, each item once. Nothing is asked before its answer is wanted, so that no answer
 * is older than it seems. Whoever aborts is answered by `cutShort` at once; the others go on waiting.
 */
export function gather<Item, Answer>(
  ask: Ask<Item, Answer>,
  cutShort: (item: Item) => Answer,
): Ask<Item, Answer> {
  let waiting: Asker<Item, Answer>[] = []
  let underWay = 0
  let timer: NodeJS.Timeout | undefined

  const begin = (): void => {
    clearTimeout(timer)
    const askers = waiting.filter(({ signal }) => !signal.aborted)
    waiting = []
    if (askers.length === 0) return
    underWay += 1
    void askFor(ask, askers).finally(() => {
      underWay -= 1
      if (underWay === 0) begin()
    })
  }

  return async (items, signal) => {
    if (items.length === 0) return []
    if (signal.aborted) return items.map(cutShort)
    const { promise, resolve, reject } = Promise.withResolvers<readonly Answer[]>()
    const giveUp = (): void => resolve(items.map(cutShort))
    signal.addEventListener('abort', giveUp, { once: true })
    waiting.push({ items, signal, resolve, reject })
    if (waiting.length === 1) {
      if (underWay === 0) setImmediate(begin)
      else timer = setTimeout(begin, longestWaitMs)
    }
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }
}

/**
 * `gather` for questions to several who each know all of their own, told apart by `nameOf`: each is asked once for all
 * who ask it side by side, and where one does not answer, the others are not waited for.
 */
export function gatherEach<Item, Answer>(
  nameOf: (item: Item) => string,
  ask: (item: Item, signal: AbortSignal) => Promise<Answer>,
  cutShort: (item: Item) => Answer,
): (item: Item, signal: AbortSignal) => Promise<Answer> {
  const asked = new Map<string, Ask<Item, Answer>>()
  const askAll = async (items: readonly Item[], signal: AbortSignal): Promise<Answer[]> => {
    const answer = await ask(items[0]!, signal)
    return items.map(() => answer)
  }
  return async (item, signal) => {
    const name = nameOf(item)
    const together = asked.get(name) ?? gather(askAll, cutShort)
    asked.set(name, together)
    const [answer] = await together([item], signal)
    return answer!
  }
}

/** Never throws: what `ask` throws is told to all who asked. */
async function askFor<Item, Answer>(
  ask: Ask<Item, Answer>,
  askers: readonly Asker<Item, Answer>[],
): Promise<void> {
  const items = [...new Set(askers.flatMap((asker) => asker.items))]
  const allGone = new AbortController()
  const over = new AbortController()
  let interested = askers.length
  const leave = (): void => {
    interested -= 1
    if (interested === 0) allGone.abort('nobody waits for the answer any more')
  }
  for (const { signal } of askers) {
    signal.addEventListener('abort', leave, { once: true, signal: over.signal })
  }
  try {
    const answers = await ask(items, allGone.signal)
    const byItem = new Map(items.map((item, at) => [item, answers[at]!]))
    for (const asker of askers) asker.resolve(asker.items.map((item) => byItem.get(item)!))
  } catch (error) {
    for (const asker of askers) asker.reject(error)
  } finally {
    // With a reason of its own: an error would be made, with a stack that nobody reads.
    over.abort('it is answered')
  }
}
