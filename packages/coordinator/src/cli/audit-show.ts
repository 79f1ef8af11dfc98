import { AuditEvent } from '@filo/protocol'
import { tellStory, type StoryLine } from './story.ts'
import { auditDocument, ownDocuments, Unreadable, type OpenDocument } from './audit-documents.ts'
import type { Colors, Context } from './context.ts'
import { Exit, exitCodes, type ExitCode } from './exit-code.ts'
import { loadFleet } from './load-fleet.ts'
import { printJsonLines, printLines } from './print.ts'
import { formatTable } from './table.ts'

/**
 * Tells the story of a run from this fleet's journal, and from ledgers and consumers' files where they are given: what the
 * agents themselves have written stands only there, or with `broker: local` in the ledgers here.
 */
export function showAudit(context: Context, run: string, files: readonly string[]): ExitCode {
  const events = [
    ...ownDocuments(loadFleet(context)),
    ...files.map((file) => () => [auditDocument(file)]),
  ].flatMap((open) => readEvents(context, open))
  const story = tellStory(run, events)
  if (story.length === 0) {
    throw new Exit(
      exitCodes.usage,
      `there is no audit event of a run "${run}"; see which runs there are with: filo runs`,
    )
  }
  if (context.format === 'jsonl') printJsonLines(context.stdout, story)
  else printLines(context.stdout, storyView(run, story, context.stdout.colors))
  return exitCodes.done
}

/** A file that cannot be read leaves the story with a gap, and that is said. */
function readEvents(context: Context, open: OpenDocument): AuditEvent[] {
  try {
    return open().flatMap(({ entries }) =>
      Array.from(entries, ({ text }) => parseEvent(text)).filter((event) => event !== undefined),
    )
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    context.stderr.write(`filo: ${error.message}; what it says is not told here\n`)
    return []
  }
}

/** Whether an entry is genuine is for `filo audit verify` to say. */
function parseEvent(text: string): AuditEvent | undefined {
  try {
    return AuditEvent.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

export function storyView(run: string, story: readonly StoryLine[], colors: Colors): string[] {
  const paints = { plain: String, good: colors.green, doubtful: colors.yellow, bad: colors.red }
  const days = new Set(story.map(({ time }) => time.slice(0, 10)))
  const rows = story.map(({ time, teller, text, tone }) => [
    { text: days.size === 1 ? time.slice(11) : time.replace('T', ' '), paint: colors.dim },
    teller,
    { text, paint: paints[tone] },
  ])
  const day = days.size === 1 ? `on ${[...days].join()}, ` : ''
  return [
    `${run}, ${day}in UTC, each time by the clock of the machine that tells it`,
    '',
    ...formatTable(['at', 'told by', 'what'], rows),
  ]
}
