import { systemClock } from '@filo/protocol'
import type { Journal, RequestAnswer, RunRequest } from '../engine/journal.ts'
import type { Context } from './context.ts'
import { isCarriedOut } from './find-run.ts'

/** The owner looks for requests several times a second; this long it is given when its host is busy. */
const answerTimeoutMs = 5000
const lookAgainMs = 50

/**
 * Asks something of the process that carries a run out (R12), and waits for its answer. A request that it did not
 * take in time is withdrawn, so that no later session finds it.
 */
export async function askOwner(
  journal: Journal,
  run: string,
  request: Parameters<Journal['request']>[1],
): Promise<RequestAnswer> {
  const id: RunRequest['id'] = journal.request(run, request)
  const deadlineMs = systemClock.now() + answerTimeoutMs
  for (;;) {
    const answer = journal.answerTo(id)
    if (answer !== undefined) return answer
    if (systemClock.now() >= deadlineMs || !isCarriedOut(journal, run)) break
    await systemClock.sleep(lookAgainMs)
  }
  const answer = journal.answerTo(id)
  if (answer !== undefined) return answer
  const why = isCarriedOut(journal, run)
    ? `the process that carries ${run} out has not answered within ${answerTimeoutMs / 1000} s`
    : `${run} ended before it heard of it; how it stands: filo show ${run}`
  const detail = `${why}; the request is withdrawn`
  journal.answer(id, { accepted: false, detail })
  return { accepted: false, detail }
}

export function printAnswer({ format, stdout }: Context, answer: RequestAnswer): void {
  stdout.write(format === 'json' ? `${JSON.stringify(answer)}\n` : `${answer.detail}\n`)
}
