/**
 * The feeds of a dispatch, each running by itself, so that some can be put in the place of others, or be taken away, while the rest go on. A feed
 * that is replaced ends first, with its write in flight; the next one goes on from its cursor.
 */
import { setMaxListeners } from 'node:events';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import { perLane, type PerLane } from '../core/lane.ts';
import { Mutex } from '../core/mutex.ts';
import type { Dispatcher } from './dispatcher.ts';
import { Feed } from './feed/feed.ts';
import type { FeedSettings } from './feed/feed-settings.ts';
import { forgetWriter } from './feed/forget-writer.ts';

/** How long the closing of a writer may take. */
const CLOSE_MS = 5000;
/** Between two tries to open a feed over a journal that is being reopened. */
const RETRY_MS = 50;

/** What `FeedSet.change` is to make of it. */
export interface FeedChange {
  /** New ones, and others in the place of those of the same name. */
  readonly put: readonly FeedSettings[];
  /** Gone; with `purge` their place, their dead letters and what waits for them go, too. */
  readonly remove: readonly { readonly name: string; readonly purge: boolean }[];
}

interface Life {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

export class FeedSet {
  /** Changed in place, so that whoever holds it sees it. */
  readonly feeds: Feed[] = [];
  readonly #dispatcher: Dispatcher;
  readonly #onProblem: (problem: Error) => void;
  readonly #changes = new Mutex();
  readonly #lives = new Map<Feed, Life>();
  /** Of `run`. */
  #stop: AbortSignal | undefined;
  readonly #bug = new AbortController();

  private constructor(dispatcher: Dispatcher, onProblem: (problem: Error) => void) {
    this.#dispatcher = dispatcher;
    this.#onProblem = onProblem;
  }

  /** Rejects as a commit does. */
  static async open(dispatcher: Dispatcher, settings: readonly FeedSettings[], onProblem: (problem: Error) => void): Promise<FeedSet> {
    const set = new FeedSet(dispatcher, onProblem);
    set.feeds.push(...(await Promise.all(settings.map(async (each) => Feed.open(dispatcher, each)))));
    return set;
  }

  /** Runs them until `signal` is aborted, then closes their writers. Rejects with a bug of any, when the others have ended. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#bug.signal]);
    setMaxListeners(0, stop); // every lane of every writer listens; Node would warn of the eleventh
    this.#stop = stop;
    for (const feed of this.feeds) this.#begin(feed);
    await untilAborted(stop);
    await this.#changes.run(() => Promise.all(this.feeds.map(async (feed) => this.#end(feed))));
    if (this.#bug.signal.aborted) throw asError(this.#bug.signal.reason);
  }

  /**
   * Resolves when it is so: what is replaced or removed has ended, what is new runs if the others do. One change at a time. Rejects
   * UNAVAILABLE where they are being stopped, or a purge cannot be stored; what was done until then stays so.
   */
  async change({ put, remove }: FeedChange): Promise<void> {
    await this.#changes.run(async () => {
      this.#mustGoOn();
      const ended = await this.#endAll(new Set([...put, ...remove].map(({ name }) => name)));
      for (const { name } of remove) {
        const index = this.#indexOf(name);
        if (index >= 0) this.feeds.splice(index, 1);
        this.#dispatcher.served.delete(name);
      }
      for (const { name } of put) this.#dispatcher.served.add(name);
      await this.#settled();
      for (const settings of put) await this.#put(settings, ended.get(settings.name));
      for (const { name, purge } of remove) if (purge) await forgetWriter(this.#dispatcher, name);
    });
  }

  async #put(settings: FeedSettings, inFlight: PerLane<number> | undefined): Promise<void> {
    const feed = await this.#open(settings, inFlight);
    const index = this.#indexOf(settings.name);
    if (index < 0) this.feeds.push(feed);
    else this.feeds[index] = feed;
    if (inFlight) feed.tryNow(); // what kept the one before may be mended
    if (this.#stop) this.#begin(feed);
  }

  /** Resolves with how many deliveries of each may be with its destination. */
  async #endAll(names: ReadonlySet<string>): Promise<Map<string, PerLane<number>>> {
    const feeds = this.feeds.filter(({ settings }) => names.has(settings.name));
    return new Map(await Promise.all(feeds.map(async (feed) => [feed.settings.name, await this.#end(feed)] as const)));
  }

  /** What commands have changed in rows is on the disk then, or will never be: the next feeds read it there. */
  async #settled(): Promise<void> {
    await this.#dispatcher.journal
      .commit(() => undefined)
      .catch((error: unknown) => {
        if (!isFondacoError(error)) throw error;
      });
  }

  #indexOf(name: string): number {
    return this.feeds.findIndex(({ settings }) => settings.name === name);
  }

  #begin(feed: Feed): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#stop!]);
    setMaxListeners(0, signal);
    const ended = feed.run(signal).catch((error: unknown) => this.#bug.abort(error));
    this.#lives.set(feed, { stop, ended });
  }

  /** Resolves with how many deliveries of each lane may be with the destination and are not settled. */
  async #end(feed: Feed): Promise<PerLane<number>> {
    const life = this.#lives.get(feed);
    this.#lives.delete(feed);
    life?.stop.abort();
    await life?.ended;
    if (feed.isOver) return perLane((lane) => feed.lanes[lane].mayBeInFlight);
    feed.end();
    await this.#close(feed.settings);
    return perLane((lane) => feed.lanes[lane].mayBeInFlight);
  }

  async #open(settings: FeedSettings, inFlight: PerLane<number> | undefined): Promise<Feed> {
    for (;;) {
      this.#mustGoOn();
      try {
        return await Feed.open(this.#dispatcher, settings, inFlight);
      } catch (error) {
        if (!isFondacoError(error)) throw error;
        await this.#dispatcher.clock.sleep(RETRY_MS, this.#stop);
      }
    }
  }

  #mustGoOn(): void {
    if (this.#stop?.aborted) throw new FondacoError('UNAVAILABLE', 'the writers are being stopped');
  }

  async #close({ name, writer }: FeedSettings): Promise<void> {
    const over = new AbortController();
    const late = this.#dispatcher.clock.sleep(CLOSE_MS, over.signal).then(() => {
      if (!over.signal.aborted) throw new FondacoError('UNAVAILABLE', `it must be closed within ${CLOSE_MS} ms`);
    });
    try {
      await Promise.race([(async () => writer.close?.())(), late]);
    } catch (error) {
      this.#onProblem(new FondacoError('UNAVAILABLE', `writer ${name} cannot be closed: ${asError(error).message}`, { cause: error }));
    } finally {
      over.abort();
    }
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
