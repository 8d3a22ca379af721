import { findMember } from '../core/json-text.ts';
import { visible } from '../writers/console-line.ts';
import { AnswerError, askProxy, askProxyText, type Api } from './api.ts';
import {
  checkDeadLetters,
  deadLetterPath,
  errorText,
  type DeadLetterPage,
  type DeadLetterView,
  type ReplayView,
} from './dead-letter-view.ts';
import { eventScreen, shortTime } from './event.ts';
import { objectOf, query } from './event-view.ts';
import { EXIT, ExitError } from './exit.ts';
import { count, cut, plural, print, screenColumns, table, terminalJson } from './text.ts';
import { withKnownWriters } from './writer.ts';

const REASON_COLUMNS_MIN = 20;
const ANSWER_CHARS_MAX = 200;

export interface DeadLetterListFlags {
  readonly writer?: string;
  readonly limit: number;
  readonly after?: string;
  readonly json?: boolean;
}

/** One page, oldest first, and the replays under way; what leads to the next page is on stderr. Rejects with exit code 64 for a writer there is not. */
export async function listDeadLetters(api: Api, { writer, limit, after, json }: DeadLetterListFlags): Promise<void> {
  const path = `/v1/dead-letters${query({ writer, limit, after })}`;
  const text = await (writer === undefined ? askProxyText(api, path) : withKnownWriters(api, writer, async () => askProxyText(api, path)));
  if (json === true) {
    print(terminalJson(text));
    return;
  }
  const { deadLetters, next, damaged = [] } = JSON.parse(text) as DeadLetterPage;
  const { replays } = await askProxy<{ replays: ReplayView[] }>(api, '/v1/replays', { needs: ['replays'] });
  const underWay = replays.filter(({ state }) => state === 'running' || state === 'waiting');
  print(deadLetters.length === 0 ? 'no dead letters' : deadLetterTable(checkDeadLetters(deadLetters), screenColumns()));
  for (const replay of underWay) print(`\n${replayLine(replay)}`);
  if (damaged.length > 0) process.stderr.write(`damaged, can only be purged: ${visible(damaged.join(', '))}\n`);
  if (next !== undefined) process.stderr.write(`there are more: --after ${visible(next)}\n`);
}

/** Reasons are cut so that a line fits into `columns`, if it can. */
export function deadLetterTable(letters: readonly DeadLetterView[], columns: number): string {
  const head = ['id', 'died (UTC)', 'tries', 'type', 'object', 'reason'];
  const rows = letters.map(({ id, at, attempts, event, reason, status, answer = '' }) => [
    visible(id),
    shortTime(at),
    count(attempts),
    visible(event.type),
    visible(objectOf(event)),
    visible(status !== undefined && answer !== '' ? `${status}: ${answer.slice(0, ANSWER_CHARS_MAX)}` : reason),
  ]);
  const widths = head.slice(0, -1).map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]!.length)) + 2);
  const room = Math.max(REASON_COLUMNS_MIN, columns - widths.reduce((sum, width) => sum + width, 0));
  return table(
    head,
    rows.map((row) => [...row.slice(0, -1), cut(row.at(-1)!, room)]),
  );
}

/** `replay of 12 dead letters of ops: waiting, 5 delivered, 0 died again`. */
export function replayLine({ writer, state, total, delivered, deadAgain, lastError }: ReplayView): string {
  const reason = state === 'waiting' || state === 'stopped' ? `; ${errorText(lastError)}` : '';
  return (
    `replay of ${plural(total, 'dead letter')} of ${visible(writer)}: ${visible(state)}, ` +
    `${count(delivered)} delivered, ${count(deadAgain)} died again${lastError === undefined ? '' : reason}`
  );
}

/** One dead letter, whole. Rejects with exit code 64 where there is none of that id. */
export async function showDeadLetter(id: string, api: Api, isJson: boolean): Promise<void> {
  const text = await askProxyText(api, deadLetterPath(id)).catch((error: unknown) => {
    if (!(error instanceof AnswerError) || error.status !== 404) throw error;
    throw new ExitError(EXIT.usage, `${error.message}\nfondaco dead-letter list shows what is there.`, error);
  });
  if (isJson) print(terminalJson(text));
  else print(deadLetterScreen(JSON.parse(text) as DeadLetterView, text));
}

/** `text`: the JSON that it was read from. */
export function deadLetterScreen(letter: DeadLetterView, text: string): string {
  checkDeadLetters([letter]);
  const { id, writer, at, reason, status, answer, attempts, event } = letter;
  const fields: [string, string | undefined][] = [
    ['dead letter', id],
    ['died', `${at}, after ${plural(attempts, 'attempt')}`],
    ['reason', reason],
    ['status', status],
    ['answer', answer],
  ];
  const shown = fields.filter((field): field is [string, string] => field[1] !== undefined && field[1] !== '');
  return [
    eventScreen(event, findMember(text, 'event')),
    '',
    ...shown.map(([name, value]) => `${name.padEnd(12)}${visible(value)}`),
    '',
    `When ${visible(writer)} would take it: fondaco dead-letter replay ${visible(id)}`,
  ].join('\n');
}
