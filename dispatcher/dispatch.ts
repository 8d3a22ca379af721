/**
 * A journal at work: what is accepted into it goes to its writers. This is the inside of a proxy, and all of Fondaco for a program that
 * delivers its own events and needs no proxy.
 *
 * It is put together here and nowhere else: what all share (dispatcher.ts), a feed for each writer (feed/), the limits of the journal
 * (limits/), and an input for events of this process (inputs/local-input.ts).
 */
import { hostname } from 'node:os';
import type { Batch, BatchReply } from '../core/batch.ts';
import { systemClock, systemRandom, type Clock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { EventDetails } from '../core/event-input.ts';
import type { Journal } from '../core/journal.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';
import { Backlog, type BacklogStatus, type Budget } from './limits/backlog.ts';
import { DEAD_PREFIX, storedLetter, type LetterPlace, type StoredLetter } from './dead-letters/dead-letters.ts';
import type { TypeRules } from '../core/type-rules.ts';
import type { DedupOptions } from './acceptance/dedup.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Feed } from './feed/feed.ts';
import { FeedSet } from './feed-set.ts';
import type { FeedStatus } from './feed/feed-status.ts';
import { readLedger, type Ledger } from './ledger/ledger.ts';
import { LocalInput } from './inputs/local-input.ts';
import { purgeLetters, type Purged } from './dead-letters/purge.ts';
import type { Started } from './dead-letters/replay.ts';
import { Settings } from './settings.ts';
import { DEFAULTS, feedSettings, type WriterSettings } from './writer-settings.ts';

/** All that has a default may be left out. Times are milliseconds, sizes bytes. */
export interface DispatchOptions {
  readonly writers: readonly WriterSettings[];
  /** The source of events that name none; `dispatcher` on this host. */
  readonly component?: string;
  readonly node?: string;
  /** Recurrences within `intervalMs` (10,000; 0 turns it off) fold into their first; `windowsMax` (100,000) are open at most. */
  readonly dedup?: Partial<DedupOptions>;
  /** The lowest severity that overtakes any backlog; `critical`. */
  readonly urgent?: Severity;
  /** Of the journal: `bytesMax` (4 GiB) of entries, delivered ones for `retentionMs` (7 days) within that. */
  readonly budget?: Partial<Budget>;
  /** What catalogs say of event types; without them every type is taken as it comes. */
  readonly types?: TypeRules | undefined;
  readonly clock?: Clock;
  /** Numbers in [0, 1), for back-off and hashes. */
  readonly random?: () => number;
  /** Called with what a writer's `close` throws, or that it takes too long. */
  readonly onProblem?: (problem: Error) => void;
}

/** What `Dispatch.change` is to do. */
export interface WriterChange {
  readonly put?: readonly WriterSettings[];
  readonly remove?: readonly { readonly name: string; readonly purge?: boolean }[];
}

/** What `Dispatch.status` tells, as of now. */
export interface DispatchStatus {
  /** Why nothing is taken in at the moment; absent while events are taken. */
  readonly refusal?: string;
  readonly journal: BacklogStatus;
  readonly writers: readonly FeedStatus[];
}

const DAY_MS = 86_400_000;
const KEYS = ['writers', 'component', 'node', 'dedup', 'urgent', 'budget', 'types', 'clock', 'random', 'onProblem'];

/** A journal with its writers: open it, `run` it, `record` into it. */
export class Dispatch {
  readonly dispatcher: Dispatcher;
  /** Those that there are now. */
  readonly feeds: readonly Feed[];
  readonly backlog: Backlog;
  readonly #set: FeedSet;
  readonly #input: LocalInput;

  private constructor(parts: { dispatcher: Dispatcher; set: FeedSet; backlog: Backlog; input: LocalInput }) {
    this.dispatcher = parts.dispatcher;
    this.feeds = parts.set.feeds;
    this.backlog = parts.backlog;
    this.#set = parts.set;
    this.#input = parts.input;
  }

  /**
   * Takes up what the journal holds: cursors, open windows, books. A writer that is new gets what comes from now on. Nothing is delivered
   * before `run`. Rejects CONFIG, naming the setting, what it must be and what it is; UNAVAILABLE or FULL where the journal takes nothing.
   * The journal stays its opener's, to be closed after `run` has resolved.
   */
  static async open(journal: Journal, options: DispatchOptions): Promise<Dispatch> {
    const { clock = systemClock(), random = systemRandom, types, onProblem } = options;
    const { dedup, urgent, budget, node, component } = checked(options);
    const settings = feedSettings(options.writers);
    const dispatcher = await Dispatcher.open(journal, { clock, random, dedup, urgent, node, types });
    const set = await FeedSet.open(dispatcher, settings, onProblem ?? (() => undefined));
    const backlog = await Backlog.open(dispatcher, set.feeds, budget);
    const accept = dispatcher.accept.bind(dispatcher);
    const input = new LocalInput({
      accept,
      journal: journal.id,
      refusal: () => dispatcher.room.refusal,
      clock,
      node,
      component,
      urgent,
      types,
    });
    return new Dispatch({ dispatcher, set, backlog, input });
  }

  /**
   * Records an event of this process. Resolves with its id when it is durable: fsynced, in order per lane; many at a time share a sync.
   * Rejects REJECTED for what is wrong with it (field, expected, got); FULL where the journal's budget or the disk is spent, or 64 MiB wait
   * to be stored; UNAVAILABLE while the journal is opened again after a fault, and at the end of `run`: try again later. After UNAVAILABLE
   * the event may be stored all the same.
   */
  async record(type: string, severity: Severity, message: string, details?: EventDetails): Promise<string> {
    return this.#input.record(type, severity, message, details);
  }

  /** Takes a batch under a series of the caller's, exactly once by (series, seq); see Dispatcher.accept. For inputs of one's own. */
  async accept(batch: Batch): Promise<BatchReply> {
    return this.dispatcher.accept(batch);
  }

  /**
   * Delivers until `signal` is aborted; then takes no more records, lets writes in flight end (for some seconds), closes the writers, and
   * resolves. What is not delivered is in the journal. A writer's errors never reject it; a bug of this package does. To be called once.
   */
  async run(signal: AbortSignal): Promise<void> {
    const bug = new AbortController();
    const stop = AbortSignal.any([signal, bug.signal]);
    const loops = [this.dispatcher.run(stop), this.backlog.run(stop), this.#set.run(stop)];
    const closed = new Promise((resolve) => {
      if (stop.aborted) resolve(undefined);
      else stop.addEventListener('abort', resolve, { once: true });
    }).then(async () => this.#input.close());
    await Promise.all([...loops, closed].map(async (running) => running.catch((error: unknown) => bug.abort(error))));
    if (bug.signal.aborted) throw asError(bug.signal.reason);
  }

  /**
   * Changes writers while the others go on. `put`: new ones, which get what comes from now on, and others in the place of those of the same name,
   * each from its cursor. `remove`: with `purge` its dead letters and what waits for it are given up, which is announced; else they are kept in case
   * it comes back. Resolves when it is so. Rejects CONFIG, with nothing changed, for settings that are wrong; UNAVAILABLE or FULL where the journal
   * takes nothing, or at the end of `run`: what was done until then stays.
   */
  async change({ put = [], remove = [] }: WriterChange): Promise<void> {
    await this.#set.change({ put: feedSettings(put), remove: remove.map(({ name, purge = false }) => ({ name, purge })) });
  }

  /** As of now, from memory: ahead of the disk by the commits in flight. */
  status(): DispatchStatus {
    const { refusal } = this.dispatcher.room;
    return { ...(refusal !== undefined && { refusal }), journal: this.backlog.status(), writers: this.feeds.map((feed) => feed.status()) };
  }

  /** The books of every writer and lane, as of one commit; `isBalanced` tells whether nothing is missing in them. */
  async ledger(): Promise<Ledger> {
    return readLedger(this.dispatcher.journal);
  }

  /** The writer's feed, to `pause` and `resume`, and for its `status`. Throws CONFIG where there is none of that name. */
  feed(writer: string): Pick<Feed, 'pause' | 'resume' | 'status'> {
    return this.#feed(writer);
  }

  /** What the writer can never deliver, by lane and position, with the destination's answer. */
  async *deadLetters(writer: string): AsyncIterable<StoredLetter> {
    const { name } = this.#feed(writer).settings;
    for await (const row of this.dispatcher.journal.rows(`${DEAD_PREFIX}${name}/`)) yield storedLetter(row);
  }

  /** Delivers dead letters again, all that there are or those chosen, beside the feed and while `run` runs. Resolves when it has durably begun. */
  async replay(writer: string, places?: readonly LetterPlace[]): Promise<Started> {
    return this.#feed(writer).replay.start(places);
  }

  /** Gives dead letters up, all that there are or those chosen; announced as a loss. Resolves when that is durable. */
  async purge(writer: string, places?: readonly LetterPlace[]): Promise<Purged> {
    return purgeLetters(this.#feed(writer), places);
  }

  #feed(writer: string): Feed {
    const feed = this.feeds.find(({ settings }) => settings.name === writer);
    if (feed) return feed;
    const names = this.feeds.map(({ settings }) => settings.name).join(', ');
    throw new FondacoError('CONFIG', `writer must be one of ${names || 'none'}, got ${JSON.stringify(writer)}`);
  }
}

function checked(options: DispatchOptions): { dedup: DedupOptions; urgent: Severity; budget: Budget; node: string; component: string } {
  const settings = new Settings('', options, KEYS);
  const dedup = settings.inner('dedup', Object.keys(DEFAULTS.dedup));
  const budget = settings.inner('budget', Object.keys(DEFAULTS.budget));
  return {
    dedup: {
      intervalMs: dedup.whole('intervalMs', { min: 0, max: DAY_MS }, DEFAULTS.dedup.intervalMs),
      windowsMax: dedup.whole('windowsMax', { min: 1, max: 10_000_000 }, DEFAULTS.dedup.windowsMax),
    },
    urgent: settings.word('urgent', SEVERITIES, DEFAULTS.urgent),
    budget: {
      bytesMax: budget.whole('bytesMax', { min: 16 * 1024 ** 2, max: 1024 ** 4 }, DEFAULTS.budget.bytesMax),
      retentionMs: budget.whole('retentionMs', { min: 0, max: 3650 * DAY_MS }, DEFAULTS.budget.retentionMs),
    },
    node: settings.text('node', 'a text of 1 to 256 characters', /^.{1,256}$/s, hostname()),
    component: settings.text('component', 'a text of 1 to 256 characters', /^.{1,256}$/s, 'dispatcher'),
  };
}
