import { findMember, listItems } from '../core/json-text.ts';
import { compileFilter } from '../dispatcher/feed/filter.ts';
import { visible } from '../writers/console-line.ts';
import { askProxyText, type Api } from './api.ts';
import { checkDeadLetters, type DeadLetterPage, type DeadLetterView } from './dead-letter-view.ts';
import { query } from './event-view.ts';
import { EXIT } from './exit.ts';
import { openOut, type Out } from './export-out.ts';
import { count, plural, terminalJson } from './text.ts';
import { withKnownWriters } from './writer.ts';

export interface ExportFlags {
  readonly writer?: string;
  readonly filter?: string;
  readonly file?: string;
  readonly out?: string;
}

const PAGE = 1000;

/**
 * Writes dead letters, one a line, oldest first by writer and lane, as the HTTP surface shows them. How many is on stderr; exits 1 where some are
 * damaged. Rejects with exit code 64 for a writer there is not or a file that is there, 74 where that cannot be written; then it is taken away.
 */
export async function exportDeadLetters(api: Api, flags: ExportFlags): Promise<void> {
  const wants = await filterOf(api, flags);
  const out = await openOut(flags.out);
  try {
    const { letters, damaged } = await writeAll(api, flags.writer, wants, out);
    await out.end();
    const to = flags.out === undefined ? '' : ` to ${visible(flags.out)}`;
    process.stderr.write(`exported ${plural(letters, 'dead letter')}${to}, ${count(damaged)} cannot be read\n`);
    if (damaged > 0) process.exitCode = EXIT.attention;
  } catch (error) {
    await out.discard();
    throw error;
  }
}

type Wants = (letter: DeadLetterView) => boolean;

async function filterOf(api: Api, { filter, file }: ExportFlags): Promise<Wants> {
  if (filter === undefined && file === undefined) return () => true;
  const { readFilter } = await import('./filter-source.ts');
  const wants = compileFilter(await readFilter(api, { ...(filter !== undefined && { filter }), ...(file !== undefined && { file }) }));
  return ({ event }) => wants(event);
}

async function writeAll(api: Api, writer: string | undefined, wants: Wants, out: Out): Promise<{ letters: number; damaged: number }> {
  let letters = 0;
  let damaged = 0;
  for (let after: string | undefined; ;) {
    const path = `/v1/dead-letters${query({ writer, limit: PAGE, after })}`;
    const ask = async (): Promise<string> => askProxyText(api, path);
    // A writer that has none any more is no mistake on a later page.
    const text = await (writer === undefined || after !== undefined ? ask() : withKnownWriters(api, writer, ask));
    // Each as it came: what JSON.parse makes of attributes is not always what was recorded.
    for (const item of listItems(findMember(text, 'deadLetters'))) {
      const letter = JSON.parse(item) as DeadLetterView;
      checkDeadLetters([letter]);
      if (!wants(letter)) continue;
      letters++;
      if (!(await out.write(`${terminalJson(item, out.isTerminal)}\n`))) return { letters, damaged };
    }
    const page = JSON.parse(text) as DeadLetterPage;
    damaged += page.damaged?.length ?? 0;
    after = page.next;
    if (after === undefined) return { letters, damaged };
  }
}
