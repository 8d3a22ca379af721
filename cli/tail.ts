import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { asError, isFondacoError } from '../core/errors.ts';
import { visible } from '../writers/console-line.ts';
import { AnswerError, openStream, type Api } from './api.ts';
import { findEvents, queryOf } from './event-pages.ts';
import { EXIT } from './exit.ts';
import { eventLine, parseEventView, query, type EventFilter } from './event-view.ts';
import { readServerSentEvents, type ServerSentEvent } from './sse.ts';
import { isColored, terminalJson } from './text.ts';

export interface TailFlags extends EventFilter {
  readonly last?: number;
  readonly json?: boolean;
}

/** Between attempts to get a stream that ended back: doubling, at most the second. */
const WAIT_MS = 500;
const WAIT_MS_MAX = 10_000;

/**
 * Shows events as they come in, until SIGINT or SIGTERM, or the reader of stdout has gone; then it resolves. A stream that ends is opened again
 * behind the last event that was shown, and stderr says so. Rejects like `askProxy` if it cannot be opened the first time.
 */
export async function showTail(api: Api, flags: TailFlags): Promise<void> {
  const stop = new AbortController();
  const stopped = (): void => stop.abort();
  process.once('SIGINT', stopped).once('SIGTERM', stopped);
  process.stdout.once('error', stopped).once('close', stopped);
  try {
    await new Tail(api, flags, stop.signal).run();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', stopped).off('SIGTERM', stopped);
  }
}

class Tail {
  readonly #api: Api;
  readonly #flags: TailFlags;
  readonly #signal: AbortSignal;
  readonly #line: (text: string) => string;
  /** Of the last event that was shown. */
  #lastId = '';
  /** What history has shown and the stream may bring again. */
  #shown = new Set<string>();

  constructor(api: Api, flags: TailFlags, signal: AbortSignal) {
    this.#api = api;
    this.#flags = flags;
    this.#signal = signal;
    const isColor = isColored();
    this.#line = (text) => (flags.json === true ? terminalJson(text) : eventLine(parseEventView(text), text, isColor));
  }

  async run(): Promise<void> {
    let events = await this.#open();
    if (process.stdout.isTTY && process.stderr.isTTY) process.stderr.write(`events of ${this.#api.url}, until Ctrl-C\n`);
    await this.#showLast();
    for (;;) {
      const reason = await this.#show(events);
      if (this.#signal.aborted) return;
      process.stderr.write(`fondaco: the stream ended (${visible(reason)}), connecting again …\n`);
      events = await this.#openAgain();
      if (this.#signal.aborted) return;
      const since = this.#lastId === '' ? 'what came meanwhile is in fondaco event list' : 'going on behind the last event shown';
      process.stderr.write(`fondaco: connected again, ${since}\n`);
    }
  }

  async #open(): Promise<AsyncIterable<ServerSentEvent>> {
    const headers = { accept: 'text/event-stream', ...(this.#lastId !== '' && { 'last-event-id': this.#lastId }) };
    const path = `/v1/events/stream${query({ ...queryOf(this.#flags) })}`;
    return readServerSentEvents((await openStream(this.#api, path, headers, this.#signal)) as AsyncIterable<Buffer>);
  }

  /** Tries until it works. A proxy that answers and refuses is a reason to end. */
  async #openAgain(): Promise<AsyncIterable<ServerSentEvent>> {
    for (let waitMs = WAIT_MS; ; waitMs = Math.min(waitMs * 2, WAIT_MS_MAX)) {
      await wait(waitMs, undefined, { signal: this.#signal });
      try {
        return await this.#open();
      } catch (error) {
        if (this.#signal.aborted || !isPassing(error)) throw error;
      }
    }
  }

  /** History, oldest first. The stream is open already, so that nothing falls between. */
  async #showLast(): Promise<void> {
    const { last } = this.#flags;
    if (last === undefined) return;
    const { found } = await findEvents(this.#api, queryOf(this.#flags), last);
    for (const { event, text } of [...found].reverse()) {
      this.#shown.add(placeOf(event));
      await this.#write(text);
    }
  }

  /** Shows what comes; resolves with why it ended. */
  async #show(events: AsyncIterable<ServerSentEvent>): Promise<string> {
    try {
      for await (const { event, data, id } of events) {
        if (event === 'event' && data !== '') await this.#showOne(data);
        else if (data !== '') process.stderr.write(`fondaco: ${visible(event)}: ${visible(data)}\n`);
        if (this.#signal.aborted) return '';
        this.#lastId = id;
      }
      return 'the proxy closed it';
    } catch (error) {
      if (isFondacoError(error) && !this.#signal.aborted) throw error;
      return asError(error).message;
    }
  }

  async #showOne(data: string): Promise<void> {
    if (this.#shown.size > 0 && this.#shown.delete(placeOf(parseEventView(data)))) return;
    await this.#write(data);
  }

  /** Waits for a slow reader of stdout, so that memory does not grow. */
  async #write(text: string): Promise<void> {
    const hasRoom = process.stdout.write(`${this.#line(text)}\n`);
    if (!hasRoom) await once(process.stdout, 'drain', { signal: this.#signal });
  }
}

/** True for what a later attempt may find otherwise. */
function isPassing(error: unknown): boolean {
  return isFondacoError(error, 'UNAVAILABLE') || (error instanceof AnswerError && error.exitCode === EXIT.unavailable);
}

function placeOf({ lane, position, epoch }: { lane: string; position: number; epoch: number }): string {
  return `${epoch}/${lane}/${position}`;
}
