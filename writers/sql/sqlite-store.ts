/** The table in a file of SQLite, which a thread of its own has open. */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/clock.ts';
import { FondacoError, type ErrorCode } from '../../core/errors.ts';
import { formatMs } from '../../core/time.ts';
import { cellTime, type EventRow } from './event-row.ts';
import type { EventFilter, EventStore, Retention, RowPlace, StoredEvent } from './event-store.ts';
import type { SqliteFailure } from './node-sqlite.ts';
import type { SqliteAnswer, SqliteOrder, SqlitePlace } from './sqlite-orders.ts';

/**
 * SQLite's primary result codes (sqlite.org/rescode.html).
 *
 * | code | becomes |
 * |---|---|
 * | 5 busy, 6 locked, 7 memory, 10 disk I/O, 13 full, 15 protocol | UNAVAILABLE |
 * | 18 too big, 19 constraint | REJECTED: an event in the batch |
 * | any other: 1 (no such table or column), 3, 8 and 23 (permission), 11 (damaged), 14 (cannot be opened), 26 (no database) | REFUSED |
 */
const PASSING = new Set([5, 6, 7, 10, 13, 15]);
const OF_EVENTS = new Set([18, 19]);
/** How long the thread waits for another process that writes. */
const BUSY_MS = 2000;

/** Beside this file, in TypeScript or built. */
const THREAD = new URL(`./sqlite-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

interface Waiting {
  readonly resolve: (answer: SqliteAnswer) => void;
  readonly reject: (error: Error) => void;
}

export class SqliteStore implements EventStore {
  readonly what: string;
  readonly #place: SqlitePlace;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;
  #thread: Worker | undefined;
  #isClosed = false;

  /** Opens the file when there is something to do. */
  constructor(place: Omit<SqlitePlace, 'busyMs'>, clock: Clock) {
    this.#place = { ...place, busyMs: BUSY_MS };
    this.#clock = clock;
    this.what = `SQLite ${place.file}`;
  }

  async insert(rows: readonly EventRow[], signal: AbortSignal): Promise<void> {
    await this.#order({ do: 'insert', rows, now: this.#time(0) }, signal);
  }

  async bound({ ageMs, rowsMax }: Retention, signal: AbortSignal): Promise<string | undefined> {
    const before = ageMs === undefined ? undefined : this.#time(ageMs);
    return (await this.#order({ do: 'bound', before, rowsMax }, signal)) as string | undefined;
  }

  async prune(bound: string, signal: AbortSignal): Promise<number> {
    return (await this.#order({ do: 'prune', bound }, signal)) as number;
  }

  async page(filter: EventFilter, limit: number, after: RowPlace | undefined, signal: AbortSignal): Promise<readonly StoredEvent[]> {
    return (await this.#order({ do: 'page', filter, limit, after }, signal)) as StoredEvent[];
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const thread = this.#thread;
    if (!thread) return;
    const closed = new Promise((resolve) => this.#waiting.set(++this.#number, { resolve, reject: resolve }));
    thread.postMessage({ number: this.#number, order: { do: 'close' } satisfies SqliteOrder });
    await closed;
    await thread.terminate();
  }

  #time(agoMs: number): string {
    return cellTime(formatMs(this.#clock.now() - agoMs));
  }

  /** An order whose caller does not wait any more is done all the same: it may be done twice. */
  async #order(order: SqliteOrder, signal: AbortSignal): Promise<unknown> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `${this.what}: this writer is closed`);
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', `${this.what} was stopped`);
    const thread = (this.#thread ??= this.#start());
    const number = ++this.#number;
    const answered = new Promise<SqliteAnswer>((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
    const stop = (): void => this.#waiting.get(number)?.reject(new FondacoError('UNAVAILABLE', `${this.what} was stopped`));
    signal.addEventListener('abort', stop, { once: true });
    thread.postMessage({ number, order });
    try {
      const answer = await answered;
      if ('failure' in answer) throw this.#error(answer.failure, order.do === 'insert');
      return answer.result;
    } finally {
      this.#waiting.delete(number);
      signal.removeEventListener('abort', stop);
    }
  }

  #start(): Worker {
    const thread = new Worker(THREAD, { workerData: this.#place });
    thread.on('message', ({ number, ...answer }: SqliteAnswer & { readonly number: number }) => {
      this.#waiting.get(number)?.resolve(answer);
      if (this.#isClosed) this.#waiting.delete(number);
    });
    const ended = (error?: unknown): void => {
      if (this.#thread === thread) this.#thread = undefined;
      const text = `${this.what}: its thread ended${error instanceof Error ? `, ${error.message}` : ''}`;
      for (const { reject } of this.#waiting.values()) reject(new FondacoError('UNAVAILABLE', text, { cause: error }));
    };
    thread.on('error', ended);
    thread.on('exit', () => ended());
    return thread;
  }

  #error({ message, errcode }: SqliteFailure, isEvents: boolean): FondacoError {
    const result = (errcode ?? 1) & 0xff;
    const meant: ErrorCode = PASSING.has(result) ? 'UNAVAILABLE' : OF_EVENTS.has(result) ? 'REJECTED' : 'REFUSED';
    const code = meant === 'REJECTED' && !isEvents ? 'REFUSED' : meant;
    return new FondacoError(code, `${this.what} failed: ${message}`, errcode === undefined ? {} : { status: `SQLite ${errcode}` });
  }
}
