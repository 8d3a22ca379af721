/** A writer as /v1/status and /v1/writers show it, for people. */
import { LANES } from '../core/lane.ts';
import type { FeedStatus } from '../dispatcher/feed/feed-status.ts';
import { visible } from '../writers/console-line.ts';
import { age, count, cut, paint, plural, table, type Style } from './text.ts';

export type WriterView = Omit<FeedStatus, 'state' | 'deadBytes'> & {
  readonly state: string;
  readonly kind?: string;
  readonly promise?: string;
};

const USUAL_PROMISE = 'at least once';
/** What begins so is more. */
const BETTER_PROMISE = 'once';

const HEAD = ['writer', 'state', 'urgent', 'normal', 'oldest', 'dead', 'tries', 'next'];
const STYLES: Readonly<Record<string, Style>> = { delivering: 'green', retrying: 'yellow', paused: 'yellow' };
const ANSWER_CHARS_MAX = 200;
/** A destination that asks for more than this may mean it less than a person does. */
const LONG_WAIT_MS = 60_000;

/** True for one that does not deliver, or has given something up. */
export function isTroubled({ state, dead }: WriterView): boolean {
  return state !== 'delivering' || dead > 0;
}

/** One line each: state, pending per lane, age of the oldest, dead letters, failed attempts in a row, time to the next. */
export function writerTable(writers: readonly WriterView[], columns: number, extra: readonly string[] = []): string {
  const rows = writers.map((writer) => row(writer));
  const others = HEAD.slice(1).map((name, i) => Math.max(name.length, ...rows.map((cells) => cells[i + 1]!.length)) + 2);
  const room = columns - others.reduce((sum, width) => sum + width, 0);
  const painted = rows.map(([name = '', state = '', ...rest], i) => [
    cut(name, Math.max(room, 8)),
    paint(STYLES[state] ?? 'red', state),
    ...rest.map((cell, column) => (HEAD[column + 2] === 'dead' && writers[i]!.dead > 0 ? paint('red', cell) : cell)),
    ...(extra.length > 0 ? [extra[i] ?? ''] : []),
  ]);
  return table([...HEAD, ...(extra.length > 0 ? ['kind'] : [])], painted, 2);
}

function row(writer: WriterView): string[] {
  const { name, state, dead, lanes } = writer;
  const oldestMs = Math.max(...LANES.map((lane) => (lanes[lane].pending > 0 ? lanes[lane].oldestAgeMs : 0)));
  const tries = Math.max(...LANES.map((lane) => lanes[lane].attempts));
  const waiting = LANES.filter((lane) => lanes[lane].attempts > 0).map((lane) => lanes[lane].nextAttemptInMs);
  const isWaiting = waiting.length > 0 && (state === 'retrying' || state === 'refused');
  return [
    visible(name),
    visible(state),
    count(lanes.urgent.pending),
    count(lanes.normal.pending),
    oldestMs === 0 ? '-' : age(oldestMs),
    count(dead),
    tries === 0 ? '-' : count(tries),
    isWaiting ? age(Math.max(0, Math.min(...waiting))) : '-',
  ];
}

/** What its deliveries are worth, where that is less than at least once; undefined where it is not. */
export function lesserPromise({ promise }: WriterView): string | undefined {
  return promise === undefined || promise === USUAL_PROMISE || promise.startsWith(BETTER_PROMISE) ? undefined : visible(promise);
}

/** What its destination should have mended although it takes everything. */
export function warningTexts({ name, warnings = [] }: WriterView): string[] {
  return warnings.map((text) => `${visible(name)}: ${visible(text)}`);
}

/** What is to be said of a troubled writer: its last failure, and the answer if there was one. */
export function troubleLines({ name, state, dead, pausedSince, lastError }: WriterView): string[] {
  if (state === 'paused') return [`${visible(name)}: paused by hand since ${visible(pausedSince ?? '?')}, everything is kept for it`];
  if (!lastError) return [`${visible(name)}: ${visible(state)}`];
  const { message, answer = '' } = lastError;
  const short = answer.length > ANSWER_CHARS_MAX ? `${answer.slice(0, ANSWER_CHARS_MAX)}…` : answer;
  // What a delivering one said last need not be why they died: another failure may have come and gone since.
  const before = state === 'delivering' ? `${plural(dead, 'dead letter')}; it failed last with ` : '';
  return [`${visible(name)}: ${before}${visible(message)}`, ...(short === '' ? [] : [`  it answered: ${visible(short)}`])];
}

/** What to type next: first for its state, then for its dead letters; nothing for a writer that needs nobody. */
export function nextSteps(writer: WriterView): string[] {
  const { state, dead } = writer;
  const name = visible(writer.name);
  const letters = `fondaco dead-letter list ${name}`;
  if (state === 'refused' && writer.isFull) return [`${letters}; it goes on when some are replayed or purged`];
  const more = dead === 0 ? [] : [state === 'delivering' ? letters : `${letters} (${plural(dead, 'dead letter')} from before)`];
  switch (state) {
    case 'refused':
      return [`mend its settings or the destination's, then fondaco writer resume ${name}`, ...more];
    case 'suspended':
    case 'paused':
      return [`fondaco writer resume ${name}`, ...more];
    case 'delivering':
      return more;
    default:
      return [waitStep(writer), ...more];
  }
}

function waitStep({ name, lanes }: WriterView): string {
  const askedMs = Math.max(...LANES.map((lane) => lanes[lane].askedInMs ?? 0));
  if (askedMs <= LONG_WAIT_MS) return 'nothing: it is tried again, everything is kept';
  return `fondaco writer resume ${visible(name)}, to try before the ${age(askedMs)} are over that it asked for; everything is kept`;
}

/** `→ fondaco writer resume ops`. */
export function step(text: string): string {
  return `${paint('bold', '→')} ${text}`;
}
