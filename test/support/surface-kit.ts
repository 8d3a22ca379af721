/** The HTTP surface over a real dispatcher and journal, LevelDB or simulated, without the rest of a proxy. */
import { systemClock, type Clock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import type { TypeRules } from '../../core/type-rules.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { readLedger, type Ledger } from '../../dispatcher/ledger/ledger.ts';
import { DiskJournal } from '../../journal/disk-journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import type { MemoryStorage } from '../../journal/memory-journal.ts';
import { formatAddress } from '../../proxy/address.ts';
import { History } from '../../dispatcher/history/history.ts';
import type { BodyLimits } from '../../proxy/http/body.ts';
import { eventRoutes } from '../../proxy/http/event-routes.ts';
import { historyRoutes } from '../../proxy/http/history-routes.ts';
import { HttpSurface } from '../../proxy/http/server.ts';
import { catalogRoutes } from '../../proxy/http/catalog-routes.ts';
import { rejectionRoutes } from '../../proxy/http/rejection-routes.ts';
import { streamRoutes, type StreamLimits } from '../../proxy/http/stream-routes.ts';
import { HttpInput } from '../../proxy/inputs/http.ts';
import { tempDirectory } from './temp-directory.ts';

export interface SurfaceKitOptions {
  /** A simulated disk; without one it is LevelDB in a temporary folder. */
  readonly storage?: MemoryStorage;
  readonly clock?: Clock;
  readonly dedupMs?: number;
  readonly bodies?: BodyLimits;
  readonly streams?: StreamLimits;
  readonly types?: TypeRules;
}

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export class SurfaceKit {
  readonly journal: Journal;
  readonly dispatcher: Dispatcher;
  readonly input: HttpInput;
  readonly surface: HttpSurface;
  readonly history: History;
  readonly problems: Error[];
  readonly #stop: AbortController;
  readonly #running: Promise<unknown>;
  readonly #remove: () => Promise<void>;

  static async open(options: SurfaceKitOptions = {}): Promise<SurfaceKit> {
    const clock = options.clock ?? systemClock();
    const { path, remove } = await tempDirectory();
    const { storage } = options;
    const settings = { clock, stamp: { site: 'plant-7' } };
    const journal = storage ? await DiskJournal.open(() => storage.open(), settings) : await LevelJournal.open(path, settings);
    const dedup = { intervalMs: options.dedupMs ?? 0, windowsMax: 1000 };
    const dispatcher = await Dispatcher.open(journal, {
      clock,
      random: () => 0.5,
      dedup,
      urgent: 'critical',
      node: 'proxy-host',
      types: options.types,
    });
    const accept = dispatcher.accept.bind(dispatcher);
    const input = new HttpInput({
      accept,
      journal: journal.id,
      refusal: () => dispatcher.room.refusal,
      clock,
      node: 'proxy-host',
      urgent: 'critical',
      types: options.types,
    });
    const problems: Error[] = [];
    const stop = new AbortController();
    const history = new History(journal, clock);
    const surface = await HttpSurface.open({
      address: { host: '127.0.0.1', port: 0 },
      routes: [
        eventRoutes({ input, clock, ...(options.bodies && { limits: options.bodies }) }),
        historyRoutes({ history }),
        rejectionRoutes(dispatcher.rejected),
        catalogRoutes(options.types),
        streamRoutes({ history, journal, clock, stop: stop.signal, ...(options.streams && { limits: options.streams }) }),
      ],
      onProblem: (problem) => problems.push(problem),
    });
    return new SurfaceKit({ journal, dispatcher, input, surface, history, problems, stop, remove });
  }

  private constructor(
    parts: Pick<SurfaceKit, 'journal' | 'dispatcher' | 'input' | 'surface' | 'history' | 'problems'> & {
      readonly stop: AbortController;
      readonly remove: () => Promise<void>;
    },
  ) {
    ({ journal: this.journal, dispatcher: this.dispatcher, input: this.input, surface: this.surface } = parts);
    ({ history: this.history, problems: this.problems } = parts);
    this.#remove = parts.remove;
    this.#stop = parts.stop;
    this.#running = Promise.all([this.dispatcher.run(this.#stop.signal), this.input.run(this.#stop.signal)]);
  }

  get url(): string {
    return `http://${formatAddress(this.surface.address)}`;
  }

  async ask<T = Record<string, unknown>>(path: string, init?: RequestInit): Promise<Answer<T>> {
    const answer = await fetch(this.url + path, init);
    return { status: answer.status, headers: answer.headers, body: JSON.parse(await answer.text()) as T };
  }

  /** Posts events; a value that is no text or bytes is made JSON. */
  post<T = Posted>(body: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    return this.ask('/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: isRaw ? (body as string) : JSON.stringify(body),
    });
  }

  ledger(): Promise<Ledger> {
    return readLedger(this.journal);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.surface.close();
    await this.journal.close();
    await this.#remove();
  }
}

/** The answer to POST /v1/events, good or bad. */
export interface Posted {
  readonly accepted: number;
  readonly rejected: number;
  readonly results: {
    readonly index: number;
    readonly line?: number;
    readonly id?: string;
    readonly error?: { readonly code: string; readonly message: string; readonly field?: string };
  }[];
  readonly error?: { readonly code: string; readonly message: string; readonly field?: string };
}
