/**
 * GET /v1/events/stream: server-sent events (WHATWG HTML, "Server-sent events"). By hand: what matters here is which events, from where on, and
 * what becomes of a reader that does not read; the framing itself is three lines.
 *
 * A stream reads the journal as its reader takes what it was sent, so it holds one piece and no more; one that is behind reads from the disk.
 * Its `id` names a place in both lanes, and so does a block without data: a reader that comes back with `Last-Event-ID` goes on exactly there,
 * also if nothing that it wanted came meanwhile.
 */
import type { ServerResponse } from 'node:http';
import { Bell } from '../../core/bell.ts';
import type { Clock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import { LANES } from '../../core/lane.ts';
import type { History, HistoryItem, Place } from '../../dispatcher/history/history.ts';
import type { Positions } from '../../dispatcher/history/backward-lane.ts';
import { eventQuery, FILTERS, formatPlace, parametersOf, parsePlace, type EventQuery } from './event-query.ts';
import { eventView } from './event-view.ts';
import { HttpError, httpErrorOf } from './http-error.ts';
import type { Routes } from './server.ts';

export interface StreamLimits {
  /** Streams at once. */
  readonly streamsMax: number;
  /** A comment when there was nothing else for so long. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing of what it was sent for so long is ended. */
  readonly stallMs: number;
}

const LIMITS: StreamLimits = { streamsMax: 100, heartbeatMs: 15_000, stallMs: 30_000 };
/** How long the end of a stream may take to get out before its connection is cut. */
const GOODBYE_MS = 1000;
/** A fault of the journal is waited out so long before it is tried again. */
const RETRY_MS = 500;

export interface StreamParts {
  readonly history: History;
  readonly journal: Pick<Journal, 'onCommit'>;
  readonly clock: Clock;
  /** Ends all streams. */
  readonly stop: AbortSignal;
  readonly limits?: StreamLimits;
}

export function streamRoutes({ history, journal, clock, stop, limits = LIMITS }: StreamParts): Routes {
  let streams = 0;
  return (app) => {
    app.get('/v1/events/stream', { exposeHeadRoute: false }, async (request, reply) => {
      const query = eventQuery(parametersOf(request.query, FILTERS));
      const last = request.headers['last-event-id'];
      const from = typeof last === 'string' && last !== '' ? parsePlace(last, 'Last-Event-ID') : undefined;
      if (stop.aborted) throw new HttpError(503, 'the proxy is stopping', { retryAfterMs: 1000 });
      if (streams >= limits.streamsMax)
        throw new HttpError(503, `at most ${limits.streamsMax} streams at a time, got one more`, { retryAfterMs: 5000 });
      streams++;
      reply.hijack();
      try {
        await new EventStream({ history, journal, clock, stop, limits }, reply.raw, query).run(from);
      } finally {
        streams--;
      }
    });
  };
}

class EventStream {
  readonly #parts: Required<StreamParts>;
  readonly #response: ServerResponse;
  readonly #query: EventQuery;
  readonly #bell = new Bell();
  #isGone = false;

  constructor(parts: Required<StreamParts>, response: ServerResponse, query: EventQuery) {
    this.#parts = parts;
    this.#response = response;
    this.#query = query;
  }

  /** Until the reader goes, stalls, or `stop`. Never rejects. */
  async run(from: Place | undefined): Promise<void> {
    const { journal, stop } = this.#parts;
    const ring = (): void => this.#bell.ring();
    const endListening = journal.onCommit(ring);
    stop.addEventListener('abort', ring, { once: true });
    const gone = (): void => {
      this.#isGone = true;
      ring();
    };
    this.#response.once('close', gone).on('error', gone);
    try {
      this.#response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      });
      await this.#end(await this.#follow(from));
    } finally {
      endListening();
      stop.removeEventListener('abort', ring);
      this.#response.off('close', gone);
    }
  }

  /** Sends what there is, and what comes. Resolves with the reason of the end. */
  async #follow(from: Place | undefined): Promise<string> {
    const { history, stop, clock, limits } = this.#parts;
    const { head } = history;
    // After a restore from an older copy a place may lie beyond what there is.
    const isBeyond = from !== undefined && LANES.some((lane) => from[lane] > head[lane]);
    let place = from === undefined || isBeyond ? head : from;
    let told = place;
    let text = `retry: 1000\n${isBeyond ? `: ${formatPlace(from)} is beyond the journal; from its end on\n` : ''}${idLine(place)}\n\n`;
    for (;;) {
      if (!(await this.#write(text))) return `nothing was read for ${limits.stallMs / 1000} s`;
      if (this.#isGone) return 'the reader is gone';
      if (stop.aborted) return 'the proxy is stopping';
      const piece = await this.#next(place);
      if (typeof piece === 'string') return piece;
      text = piece.text;
      if (text !== '') told = piece.place;
      if (piece.place !== place) {
        place = piece.place;
        continue;
      }
      const since = clock.monotonic();
      await this.#bell.wait(clock, limits.heartbeatMs);
      if (clock.monotonic() - since < limits.heartbeatMs) continue;
      text = told === place ? ': still here\n\n' : `: still here\n${idLine(place)}\n\n`;
      told = place;
    }
  }

  /** What follows a place: the place behind it, and the text of what is wanted of it; or why the stream cannot go on. */
  async #next(place: Place): Promise<{ place: Place; text: string } | string> {
    const { history, clock, stop } = this.#parts;
    try {
      const { items, missing, place: next } = await history.from(place);
      const text = items.map((item) => this.#block(item, place)).join('') + missing.map((each) => missingBlock(each, next)).join('');
      return { place: next, text };
    } catch (error) {
      const { status, message } = httpErrorOf(error);
      if (status === 500) return `a fault: ${message.replaceAll(/[\r\n]/g, ' ')}`;
      await clock.sleep(RETRY_MS, stop); // the journal is being reopened
      return { place, text: '' };
    }
  }

  /** One event; its id is the place behind it. */
  #block(item: HistoryItem, place: Place): string {
    const { lane, position, receivedAt } = item.entry;
    const { lanes, wants, since = -Infinity, until = Infinity } = this.#query;
    if (!lanes.includes(lane) || receivedAt < since || receivedAt >= until || !wants(item.event)) return '';
    return `event: event\n${idLine({ ...place, [lane]: position + 1 })}\ndata: ${eventView(item)}\n\n`;
  }

  /** Sends, and waits until it is taken; false if it is not. */
  async #write(text: string): Promise<boolean> {
    const response = this.#response;
    if (text === '' || this.#isGone || response.write(text)) return true;
    const { clock, limits } = this.#parts;
    const taken = new AbortController();
    const end = (): void => taken.abort();
    response.once('drain', end).once('close', end);
    await clock.sleep(limits.stallMs, taken.signal);
    response.off('drain', end).off('close', end);
    return taken.signal.aborted;
  }

  async #end(reason: string): Promise<void> {
    const response = this.#response;
    if (this.#isGone) return;
    const ended = new AbortController();
    response.once('close', () => ended.abort());
    response.end(`: the end, ${reason}\n\n`, () => ended.abort());
    await this.#parts.clock.sleep(GOODBYE_MS, ended.signal);
    if (!response.writableFinished) response.destroy();
  }
}

function idLine(place: Place): string {
  return `id: ${formatPlace(place)}`;
}

function missingBlock(positions: Positions, next: Place): string {
  return `event: missing\n${idLine(next)}\ndata: ${JSON.stringify(positions)}\n\n`;
}
