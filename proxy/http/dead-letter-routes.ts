/**
 * Dead letters over HTTP; ids are `<writer>/<lane>/<position>`.
 *
 * | | |
 * |---|---|
 * | GET /v1/dead-letters?writer=&limit=&after= | a page, by writer, lane and position; `next` goes into `after`; `damaged` names rows that cannot be read |
 * | GET /v1/dead-letters/{writer}/{lane}/{position} | one |
 * | POST /v1/dead-letters/replay, /purge | `{ "writer", "ids"?, "filter"? }`, all of the writer without either; what no letter has is in `missing`; `{ "matched": 0 }` where the filter matches none |
 * | GET /v1/replays, POST /v1/replays/{writer}/stop | the replay under way, or the last one, of each writer |
 */
import type { FastifyReply } from 'fastify';
import type { Journal } from '../../core/journal.ts';
import {
  DEAD_PREFIX,
  deadLetterId,
  deadLetterKey,
  parseDeadLetterId,
  storedLetter,
  type LetterPlace,
} from '../../dispatcher/dead-letters/dead-letters.ts';
import { DepartedWriter } from '../../dispatcher/dead-letters/departed-writer.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { Feed } from '../../dispatcher/feed/feed.ts';
import { purgeLetters, type Purged } from '../../dispatcher/dead-letters/purge.ts';
import { readLetter } from '../../dispatcher/dead-letters/replay-letters.ts';
import { matchingLetters } from '../../dispatcher/dead-letters/matching-letters.ts';
import type { Filter } from '../../dispatcher/feed/filter.ts';
import { filterOf, filterSchema } from '../config-filter.ts';
import { expected, member } from '../config-problems.ts';
import { showPath } from '../config-yaml.ts';
import { deadLetterJson } from './dead-letter-view.ts';
import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';
import { feedOf, noBody, noWriter } from './writer-routes.ts';

export interface DeadLetterParts {
  readonly dispatcher: Dispatcher;
  readonly feeds: readonly Feed[];
}

const LIMIT = { default: 100, max: 1000 } as const;
/** A page ends early beyond it. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** In one replay or purge that chooses. */
const IDS_MAX = 10_000;
const BODY_BYTES_MAX = 1024 * 1024;

export function deadLetterRoutes({ dispatcher, feeds }: DeadLetterParts): Routes {
  const { journal } = dispatcher;
  /** Purges under way of writers that the config no longer has. */
  const purging = new Set<string>();
  const purge = async (writer: string, places: LetterPlace[] | undefined): Promise<Purged> => {
    const feed = feeds.find(({ settings }) => settings.name === writer);
    if (feed) return purgeLetters(feed, places);
    const departed = await DepartedWriter.open(dispatcher, writer);
    if (!departed) throw noWriter(writer, 'writer');
    if (purging.has(writer)) return { busy: `dead letters of ${writer} are being purged` };
    purging.add(writer);
    return purgeLetters(departed, places).finally(() => purging.delete(writer));
  };
  return (app) => {
    app.get('/v1/dead-letters', async ({ query }, reply) => json(reply, await listing(journal, feeds, pageOf(query as Query))));
    app.get<{ Params: Record<'writer' | 'lane' | 'position', string> }>(
      '/v1/dead-letters/:writer/:lane/:position',
      async ({ params: { writer, lane, position } }, reply) => json(reply, await one(journal, `${writer}/${lane}/${position}`)),
    );
    app.post('/v1/dead-letters/replay', { bodyLimit: BODY_BYTES_MAX }, async ({ body }, reply) => {
      const { writer, ...chosen } = choiceOf(body);
      const feed = await replaying(dispatcher, feeds, writer);
      const places = await placesOf(journal, writer, chosen);
      if (places?.length === 0) return { matched: 0 };
      const started = await feed.replay.start(places);
      if ('busy' in started) throw new HttpError(409, started.busy);
      if ('nothing' in started) throw new HttpError(404, 'ids must name dead letters, got none that is there', { field: 'ids' });
      return reply.code(202).send({ replay: started.replay, ...missingOf(writer, started.missing) });
    });
    app.post('/v1/dead-letters/purge', { bodyLimit: BODY_BYTES_MAX }, async ({ body }) => {
      const { writer, ...chosen } = choiceOf(body);
      const places = await placesOf(journal, writer, chosen);
      const purged = await purge(writer, places);
      if ('busy' in purged) throw new HttpError(409, purged.busy);
      return { purged: purged.purged, ...missingOf(writer, purged.missing) };
    });
    // Told when it is durable: a commit that changes nothing waits for the one in flight.
    app.get('/v1/replays', async () =>
      journal.commit(() => ({ replays: feeds.map((feed) => feed.replay.status()).filter((replay) => replay !== undefined) })),
    );
    app.post<{ Params: { writer: string } }>('/v1/replays/:writer/stop', async ({ params, body }) => {
      noBody(body);
      const { replay } = feedOf(feeds, params.writer);
      const isChanged = await replay.stop();
      const status = replay.status();
      if (!status) throw new HttpError(404, `writer ${params.writer} has had no replay`);
      return { replay: status, isChanged, ...(!isChanged && { note: 'it was over already' }) };
    });
  };
}

type Query = Readonly<Record<string, string | string[] | undefined>>;

interface Page {
  readonly writer: string | undefined;
  readonly limit: number;
  readonly after: string | undefined;
}

function pageOf(query: Query): Page {
  for (const [name, value] of Object.entries(query)) {
    if (!['writer', 'limit', 'after'].includes(name)) throw wrong(name, 'one of writer, limit, after', name);
    if (typeof value !== 'string') throw wrong(name, 'given once', value);
  }
  const { writer, limit, after } = query as Record<string, string | undefined>;
  const count = limit === undefined ? LIMIT.default : Number(limit);
  if (!/^\d{1,4}$/.test(limit ?? '1') || count < 1 || count > LIMIT.max) throw wrong('limit', `a number from 1 to ${LIMIT.max}`, limit);
  if (after !== undefined && !parseDeadLetterId(after)) throw wrong('after', 'an id of a dead letter, <writer>/<lane>/<position>', after);
  return { writer, limit: count, after };
}

async function listing(journal: Journal, feeds: readonly Feed[], { writer, limit, after }: Page): Promise<string> {
  const place = after === undefined ? undefined : parseDeadLetterId(after);
  const prefix = writer === undefined ? DEAD_PREFIX : `${DEAD_PREFIX}${writer}/`;
  const from = place && { after: deadLetterKey(place.writer, place.lane, place.position) };
  const letters: string[] = [];
  const damaged: string[] = [];
  let last = '';
  let bytes = 0;
  let next: string | undefined;
  // One more than asked for tells whether there is a next page.
  for await (const row of journal.rows(prefix, { ...from, limit: limit + 1 })) {
    if (letters.length + damaged.length === limit || bytes >= PAGE_BYTES_MAX) {
      next = last;
      break;
    }
    const { letter, ...stored } = storedLetter(row);
    last = deadLetterId(stored.writer, stored);
    if (letter) bytes += letters.push(deadLetterJson(letter)) && letters.at(-1)!.length;
    else damaged.push(last);
  }
  if (writer !== undefined && last === '') feedOf(feeds, writer, 'writer'); // of one that the config no longer has, only what there is
  const rest = JSON.stringify({ ...(next !== undefined && { next }), ...(damaged.length > 0 && { damaged }) }).slice(1);
  return `{"deadLetters":[${letters.join(',')}]${rest === '}' ? '' : ','}${rest}`;
}

async function one(journal: Journal, id: string): Promise<string> {
  const place = parseDeadLetterId(id);
  const letter = place && (await readLetter(journal, place.writer, place));
  if (letter === 'damaged') throw new HttpError(500, `dead letter ${id} is damaged and cannot be shown; it can be purged`);
  if (letter) return deadLetterJson(letter);
  throw new HttpError(404, `there is no dead letter ${JSON.stringify(id)}`);
}

/** Throws 404 for a writer that never was, 409 for one that the config no longer has: nobody is there to deliver. */
async function replaying(dispatcher: Dispatcher, feeds: readonly Feed[], writer: string): Promise<Feed> {
  const isDeparted = feeds.every(({ settings }) => settings.name !== writer) && (await DepartedWriter.open(dispatcher, writer));
  if (isDeparted) throw new HttpError(409, `writer ${writer} must be in the config to replay its dead letters; they can be purged without`);
  return feedOf(feeds, writer, 'writer');
}

/** Which letters of a writer; all without either. */
interface Chosen {
  readonly places?: LetterPlace[];
  readonly filter?: Filter;
}

async function placesOf(journal: Journal, writer: string, { places, filter }: Chosen): Promise<LetterPlace[] | undefined> {
  return filter ? matchingLetters(journal, writer, filter) : places;
}

function choiceOf(body: unknown): Chosen & { writer: string } {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw wrong('body', 'an object { "writer", "ids"?, "filter"? }', body);
  const unknown = Object.keys(body).find((key) => !['writer', 'ids', 'filter'].includes(key));
  if (unknown !== undefined) throw wrong(unknown, 'left out: only writer, ids and filter are known', unknown);
  const { writer, ids, filter } = body as { writer?: unknown; ids?: unknown; filter?: unknown };
  if (typeof writer !== 'string') throw wrong('writer', 'the name of a writer', writer);
  if (filter !== undefined && ids !== undefined) throw wrong('filter', 'left out beside ids', filter);
  if (filter !== undefined) return { writer, filter: filterIn(filter) };
  if (ids === undefined) return { writer };
  if (!Array.isArray(ids) || ids.length < 1 || ids.length > IDS_MAX) throw wrong('ids', `a list of 1 to ${IDS_MAX} ids`, ids);
  const places = new Map(
    ids.map((id: unknown, i): [string, LetterPlace] => {
      const place = typeof id === 'string' ? parseDeadLetterId(id) : undefined;
      if (place?.writer !== writer) throw wrong(`ids[${i}]`, `an id of a dead letter of this writer, ${writer}/<lane>/<position>`, id);
      return [id as string, { lane: place.lane, position: place.position }];
    }),
  );
  return { writer, places: [...places.values()] };
}

function filterIn(value: unknown): Filter {
  const parsed = filterSchema.safeParse(value);
  if (parsed.success) return filterOf(parsed.data);
  const [issue] = parsed.error.issues;
  const path = ['filter', ...(issue?.path ?? [])];
  const key = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  if (key !== undefined) throw wrong(showPath([...path, key]), `left out: only ${issue?.message ?? ''} are known`, key);
  const got = path.slice(1).reduce<unknown>((inner, name) => member(inner, String(name)), value);
  throw wrong(showPath(path), issue ? expected(issue) : 'a filter', got);
}

function missingOf(writer: string, missing: readonly LetterPlace[]): { missing?: string[] } {
  return missing.length === 0 ? {} : { missing: missing.map((place) => deadLetterId(writer, place)) };
}

function wrong(field: string, expected: string, got: unknown): HttpError {
  const shown = got === undefined ? 'nothing' : JSON.stringify(got);
  return new HttpError(400, `${field} must be ${expected}, got ${shown.length > 200 ? `${shown.slice(0, 200)}…` : shown}`, { field });
}

async function json(reply: FastifyReply, text: string): Promise<string> {
  reply.type('application/json; charset=utf-8');
  return text;
}
