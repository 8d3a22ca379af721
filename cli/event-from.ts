/** History out of a table that the sql writer has filled, instead of a proxy's journal: the same events, for as long as the table keeps them. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';
import { SEVERITIES, SEVERITY_NUMBER } from '../core/severity.ts';
import { formatMs } from '../core/time.ts';
import { eventQuery } from '../proxy/http/event-query.ts';
import { HttpError } from '../proxy/http/http-error.ts';
import { cellTime } from '../writers/sql/event-row.ts';
import type { EventFilter, RowPlace, StoredEvent } from '../writers/sql/event-store.ts';
import { openStore } from '../writers/sql/open-store.ts';
import { parsePostgresUrl, sqlProblems, sqlSettings, type SqlSettings } from '../writers/sql/settings.ts';
import type { CredentialFlags } from './connection.ts';
import { printEvents, type EventListFlags } from './event.ts';
import { queryOf, type EventQuery } from './event-pages.ts';
import { parseEventView } from './event-view.ts';
import { EXIT, ExitError } from './exit.ts';

export interface TableFlags extends EventListFlags, CredentialFlags {
  readonly from: string;
  readonly table: string;
}

const TIMEOUT_MS = 60_000;

/** Newest first, as `listEvents`. Rejects with exit code 64 or 66 for what is typed, UNAVAILABLE or REFUSED with what the database says. */
export async function listEventsFrom(flags: TableFlags, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { before, ...query } = queryOf(flags);
  const filter = filterOf(query);
  const after = before === undefined ? undefined : placeOf(before);
  const store = openStore(await settingsOf(flags, env), { clock: systemClock(), directory: process.cwd(), readOnly: true });
  const late = AbortSignal.timeout(TIMEOUT_MS);
  try {
    // One more tells whether there are older ones.
    const rows = await store.page(filter, flags.limit + 1, after, late).catch((error: unknown) => {
      if (late.aborted) throw new FondacoError('UNAVAILABLE', `${store.what} must answer within ${TIMEOUT_MS} ms`, { cause: error });
      throw error;
    });
    const shown = rows.slice(0, flags.limit);
    const found = shown.map(({ payload, lane }) => ({ event: { ...parseEventView(payload), lane: lane as Lane }, text: payload }));
    const next = rows.length > flags.limit ? { next: cursorOf(shown.at(-1)!) } : {};
    printEvents({ found, missing: [], ...next }, flags.json === true);
  } finally {
    await store.close();
  }
}

async function settingsOf(
  { from, table, ca, cert, key }: TableFlags,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SqlSettings> {
  const isUrl = /^postgres(ql)?:/.test(from);
  const place = parsePostgresUrl(from);
  if (isUrl && !place) {
    throw new ExitError(
      EXIT.usage,
      `--from must be postgres://user@host:port/database without a query, or a file of SQLite, got ${shown(from)}`,
    );
  }
  const file = resolve(from.replace(/^sqlite:/, ''));
  if (!isUrl && !existsSync(file))
    throw new ExitError(EXIT.noInput, `--from must be postgres://… or a file of SQLite, there is no ${file}`);
  const password = place?.password === undefined && env.PGPASSWORD ? { password: env.PGPASSWORD } : {};
  const tls = Object.fromEntries(Object.entries({ ca, cert, key }).filter(([, value]) => value !== undefined));
  const isTls = Object.keys(tls).length > 0;
  const parsed = sqlSettings.safeParse({
    ...(isUrl ? { url: from, ...password } : { path: file }),
    table,
    ...(isTls && { tls }),
    timeout: '1m',
  });
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new ExitError(EXIT.usage, `--${path.join('.')} must be ${message}`);
  }
  const [problem] = await sqlProblems(parsed.data);
  if (problem) throw new ExitError(EXIT.usage, `--from: ${problem.key.join('.')} ${problem.message}`);
  return parsed.data;
}

/** Without a password that may be in it. */
function shown(from: string): string {
  return JSON.stringify(from.replace(/\/\/.*@/, '//***@'));
}

function filterOf(query: EventQuery): EventFilter {
  const { since, until } = checked(query);
  const { type, minSeverity, node, component, lane } = query;
  const lowest = minSeverity && SEVERITY_NUMBER[minSeverity];
  return {
    type,
    severities: lowest === undefined ? undefined : SEVERITIES.filter((severity) => SEVERITY_NUMBER[severity] >= lowest),
    node,
    component,
    lane,
    since: since === undefined ? undefined : cellTime(formatMs(since)),
    until: until === undefined ? undefined : cellTime(formatMs(until)),
  };
}

/** By the rules of the HTTP surface, in its words. */
function checked(query: EventQuery): ReturnType<typeof eventQuery> {
  try {
    return eventQuery(query as Readonly<Record<string, string>>);
  } catch (error) {
    if (error instanceof HttpError) throw new ExitError(EXIT.usage, error.message, error);
    throw error;
  }
}

function cursorOf({ receivedTime, lane, id }: StoredEvent): string {
  return `${receivedTime},${lane},${id}`;
}

function placeOf(cursor: string): RowPlace {
  const [, receivedTime = '', lane = '', id = ''] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z),(urgent|normal),(\d{1,18})$/.exec(cursor) ?? [];
  if (id !== '') return { receivedTime, lane, id };
  throw new ExitError(
    EXIT.usage,
    `--before must be a cursor as the page before gave it, such as 2026-11-22T08:00:00.000000Z,normal,12, got ${JSON.stringify(cursor)}`,
  );
}
