import { visible } from '../writers/console-line.ts';
import { AnswerError, askProxy, type Api } from './api.ts';
import { EXIT, ExitError } from './exit.ts';
import { print, printJson, screenColumns } from './text.ts';
import { isTroubled, lesserPromise, troubleLines, nextSteps, step, warningTexts, writerTable, type WriterView } from './writer-view.ts';

/** All writers, with what the troubled ones said last and what to do about it. */
export async function listWriters(api: Api, isJson: boolean): Promise<void> {
  const { writers } = await askProxy<{ writers: WriterView[] }>(api, '/v1/writers', { needs: ['writers'] });
  if (isJson) printJson({ writers });
  else print(writerList(writers, screenColumns()));
}

/** The writers as a table, with what is wrong with each below it. */
export function writerList(writers: readonly WriterView[], columns: number): string {
  if (writers.length === 0) return 'no writers: events are kept, nothing is delivered';
  const kinds = writers.map((writer) => [visible(writer.kind ?? '-'), lesserPromise(writer)].filter(Boolean).join(', '));
  const lines = [writerTable(writers, columns - 2 - Math.max(...kinds.map(({ length }) => length), 4), kinds)];
  for (const writer of writers.filter(isTroubled)) {
    lines.push('', ...troubleLines(writer), ...nextSteps(writer).map((todo) => `  ${step(todo)}`));
  }
  const warnings = writers.flatMap(warningTexts);
  if (warnings.length > 0) lines.push('', ...warnings);
  return lines.join('\n');
}

const DONE = { pause: 'is paused, everything is kept for it', resume: 'is resumed; fondaco status tells how it goes' } as const;
const NOTHING_TO_DO = {
  pause: 'is paused already',
  resume: 'needs no resuming: it is not paused, suspended, refused or retrying',
} as const;

/** Pauses or resumes. Rejects with exit code 64 and the names there are, where there is no writer of that name. */
export async function changeWriter(change: 'pause' | 'resume', name: string, api: Api, isJson: boolean): Promise<void> {
  const answer = await withKnownWriters(api, name, () =>
    askProxy<{ isChanged?: boolean }>(api, `/v1/writers/${encodeURIComponent(name)}/${change}`, { method: 'POST' }),
  );
  if (isJson) printJson(answer);
  else print(`writer ${visible(name)} ${(answer.isChanged === false ? NOTHING_TO_DO : DONE)[change]}`);
}

/** Asks about a writer; where there is none of that name, says which there are and exits 64. */
export async function withKnownWriters<T>(api: Api, name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof AnswerError) || error.status !== 404) throw error;
    const { writers } = await askProxy<{ writers: WriterView[] }>(api, '/v1/status', { needs: ['writers'] });
    const known = writers.map((writer) => writer.name);
    if (known.includes(name)) throw error;
    const expected = known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`;
    throw new ExitError(EXIT.usage, visible(`there is no writer called ${JSON.stringify(name)}, ${expected}`), error);
  }
}
