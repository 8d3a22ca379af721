import { visible } from '../writers/console-line.ts';
import { AnswerError, askProxyText, type Api } from './api.ts';
import { findEvents, queryOf, type EventQuery, type FoundEvents } from './event-pages.ts';
import { attributesOf, objectOf, parseEventView, type EventView } from './event-view.ts';
import { EXIT, ExitError } from './exit.ts';
import { count, cut, paint, plural, print, screenColumns, table, terminalJson } from './text.ts';

export interface EventListFlags extends EventQuery {
  readonly limit: number;
  readonly json?: boolean;
  /** Those that were rejected, instead of those in the journal. */
  readonly rejected?: boolean;
}

const MESSAGE_COLUMNS_MIN = 20;

/** History, newest first; what leads to older events, and what is damaged, is on stderr. */
export async function listEvents(api: Api, flags: EventListFlags): Promise<void> {
  printEvents(await findEvents(api, queryOf(flags), flags.limit), flags.json === true);
}

/** A page, as a table or JSON. */
export function printEvents({ found, next, missing }: FoundEvents, isJson: boolean): void {
  if (isJson) {
    const more = `${missing.length > 0 ? `,"missing":[${missing.join(',')}]` : ''}${next === undefined ? '' : `,"next":${JSON.stringify(next)}`}`;
    print(terminalJson(`{"events":[${found.map(({ text }) => text).join(',')}]${more}}`));
    return;
  }
  const events = found.map(({ event }) => event);
  print(events.length === 0 ? 'no events' : eventTable(events, screenColumns()));
  for (const gap of missing) process.stderr.write(`damaged in the journal: ${visible(gap)}\n`);
  if (next !== undefined) process.stderr.write(`there are older ones: --before ${visible(next)}\n`);
}

/** Messages are cut so that a line fits into `columns`, if it can. */
export function eventTable(events: readonly EventView[], columns: number): string {
  const head = ['time (UTC)', 'severity', 'lane', 'type', 'object', 'message', 'id'];
  const rows = events.map((event) => [
    shortTime(event.time),
    event.severity,
    visible(event.lane),
    visible(event.type),
    visible(objectOf(event)),
    visible(event.message) + (event.revision > 0 ? ` (×${count(event.count)})` : ''),
    visible(event.id),
  ]);
  const others = head.flatMap((_, column) => (column === 5 ? [] : [Math.max(...[head, ...rows].map((row) => row[column]!.length)) + 2]));
  const room = Math.max(MESSAGE_COLUMNS_MIN, columns - others.reduce((sum, width) => sum + width, 0));
  return table(
    head,
    rows.map((row) => row.map((cell, column) => (column === 5 ? cut(cell, room) : cell))),
  );
}

/** `2026-11-22 08:00:00.123`. */
export function shortTime(time: string): string {
  return visible(time.slice(0, 23).replace('T', ' ').replace(/Z$/, ''));
}

/** Everything about one event. Rejects with exit code 64 where the journal has none of that id. */
export async function showEvent(id: string, api: Api, isJson: boolean): Promise<void> {
  const text = await askProxyText(api, `/v1/events/${encodeURIComponent(id)}`).catch((error: unknown) => {
    if (!(error instanceof AnswerError) || error.status !== 404) throw error;
    throw new ExitError(EXIT.usage, `${error.message}\nfondaco event list shows what is there.`, error);
  });
  if (isJson) print(terminalJson(text));
  else print(eventScreen(parseEventView(text), text));
}

/** `text`: the JSON that the event was read from. */
export function eventScreen(event: EventView, text: string): string {
  const { source, object, labels, lane, position, epoch, kind, foldedInto, foreign, via } = event;
  const fields: [string, string | undefined][] = [
    ['id', event.id],
    ['time', event.time],
    ['received', event.receivedTime],
    ['source', `site ${source.site}, node ${source.node}, component ${source.component}`],
    ['labels', labels && pairs(labels)],
    ['object', object && pairs(object)],
    ['attributes', attributesOf(text)],
    ['count', event.revision > 0 || event.count > 1 ? countText(event) : undefined],
    ['summarizes', event.summarizes],
    ['folded into', foldedInto],
    ['traceparent', event.traceparent],
    ['via', via?.join(', ')],
    ['foreign', foreign && `source ${foreign.source}, id ${foreign.id}`],
    ['journal', `${lane} lane, position ${position}, epoch ${epoch}, ${KINDS[kind] ?? kind}`],
  ];
  const shown = fields.filter((field): field is [string, string] => field[1] !== undefined && field[1] !== '');
  return [
    `${paint('bold', visible(event.type))}  ${event.severity.toUpperCase()}`,
    ...(event.message === '' ? [] : [visible(event.message)]),
    '',
    ...shown.map(([name, value]) => `${name.padEnd(12)}${visible(value)}`),
  ].join('\n');
}

const KINDS: Readonly<Record<string, string>> = {
  accepted: 'recorded by an agent',
  folded: 'counted instead of delivered',
  made: "the proxy's own",
};

function pairs(values: object): string {
  return Object.entries(values)
    .filter(([, value]) => value !== '' && value !== undefined)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

function countText({ count: total, added, revision, firstTime, lastTime }: EventView): string {
  return `${plural(total, 'occurrence')} from ${firstTime} to ${lastTime}, ${count(added)} of them new in revision ${revision}`;
}
