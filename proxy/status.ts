/** What /v1/status tells; the one place that puts the shapes of the dispatcher together. */
import type { Clock } from '../core/clock.ts';
import type { Journal } from '../core/journal.ts';
import { isFondacoError } from '../core/errors.ts';
import { LANES, type PerLane } from '../core/lane.ts';
import { formatMs } from '../core/time.ts';
import type { Backlog, BacklogStatus } from '../dispatcher/limits/backlog.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { Feed } from '../dispatcher/feed/feed.ts';
import type { FeedStatus } from '../dispatcher/feed/feed-status.ts';
import type { ConfigStatus } from './live-config.ts';
import { readLedger } from '../dispatcher/ledger/ledger.ts';

/** The answer of GET /v1/status. */
export interface ProxyStatus {
  readonly site: string;
  /** The machine it runs on, by its name, and its data directory there: which of several proxies this is. */
  readonly node: string;
  readonly data: string;
  /** What is in effect of its config. */
  readonly config: ConfigStatus;
  readonly version: string;
  /** RFC 3339, by the proxy's wall clock. */
  readonly startedAt: string;
  readonly uptimeMs: number;
  /** Whether ingest works. */
  readonly isReady: boolean;
  /** Events of agents that were stored: ever, by lane, and since the start. */
  readonly accepted: PerLane<number>;
  readonly acceptedSinceStart: number;
  /** Events that never became entries: of recorders, with a mistake in them … */
  readonly rejected: number;
  /** … and lost before the journal. */
  readonly lost: number;
  /** Entries that some writer will never get: beyond a budget or an age, damaged, or purged; summed over writers and lanes. */
  readonly dropped: number;
  /** Of those: dead letters that people purged. */
  readonly purged: number;
  /** When something was lost last, rejected events and purged ones aside; RFC 3339, by the proxy's wall clock. */
  readonly lostAt?: string;
  /** Recurrences whose summary could not be made. */
  readonly unreported: number;
  readonly isBalanced: boolean;
  /** The store cannot be read now, and the books are as they were then; RFC 3339. */
  readonly booksAsOf?: string;
  /** By where they came in, since the start. */
  readonly inputs: readonly InputStatus[];
  readonly windows: { readonly open: number; readonly held: number };
  readonly journal: BacklogStatus;
  readonly writers: readonly WriterStatus[];
  /** Writers that the config no longer has, with the dead letters that they have left. */
  readonly departed: readonly { readonly name: string; readonly dead: number }[];
}

/** `promise`: what a delivery is worth, in words: `at least once`, `best effort` … */
export type WriterStatus = FeedStatus & { readonly promise?: string };

/** `rejected`: of recorders, for a mistake; in the books. `refused`: sent back to a caller over HTTP, who was told; in no book. */
export interface InputStatus {
  readonly name: 'grpc' | 'http';
  readonly accepted: number;
  readonly rejected?: number;
  readonly refused?: number;
}

export interface StatusSources {
  readonly site: string;
  readonly node: string;
  readonly data: string;
  readonly version: string;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly dispatcher: Pick<Dispatcher, 'counts'>;
  readonly backlog: Pick<Backlog, 'status'>;
  readonly feeds: readonly Feed[];
  readonly promiseOf?: (writer: string) => string | undefined;
  readonly isReady: () => boolean;
  readonly config: () => ConfigStatus;
  /** What came over HTTP; the rest of what was accepted came over gRPC. */
  readonly httpInput: { readonly counts: { readonly accepted: number; readonly rejected: number } };
}

/**
 * Makes the function that tells; what is "since the start" is since this call. While the store cannot be read it tells the books as they were
 * read last, because a full disk is when people ask.
 */
export async function statusSource(sources: StatusSources): Promise<() => Promise<ProxyStatus>> {
  const { site, node, data, config, version, clock, journal, dispatcher, backlog, feeds, promiseOf, isReady, httpInput } = sources;
  const startedAt = formatMs(clock.now());
  const started = clock.monotonic();
  const acceptedBefore = sum(dispatcher.counts.accepted);
  const rejectedBefore = dispatcher.counts.rejected;
  const startBooks = await readLedger(journal);
  let read = { books: startBooks, at: startedAt };
  return async () => {
    let isFresh = true;
    try {
      read = { books: await readLedger(journal), at: formatMs(clock.now()) };
    } catch (error) {
      if (!isFondacoError(error, 'UNAVAILABLE')) throw error;
      isFresh = false;
    }
    const { accepted, rejected, lost, purged, lostAt, unreported, isBalanced, windows, writers, droppedByRemoved } = read.books;
    const dropped = writers
      .flatMap(({ lanes }) => LANES.map((lane) => lanes[lane].dropped + lanes[lane].expired))
      .reduce((a, b) => a + b, droppedByRemoved);
    return {
      site,
      node,
      data,
      config: config(),
      version,
      startedAt,
      uptimeMs: Math.round(clock.monotonic() - started),
      isReady: isReady(),
      accepted,
      acceptedSinceStart: sum(accepted) - acceptedBefore,
      rejected,
      lost,
      dropped,
      purged,
      ...(lostAt !== undefined && { lostAt }),
      unreported,
      isBalanced,
      ...(!isFresh && { booksAsOf: read.at }),
      inputs: [
        // What HTTP was told is stored may be ahead of the rows that were read.
        {
          name: 'grpc',
          accepted: Math.max(0, sum(accepted) - acceptedBefore - httpInput.counts.accepted),
          rejected: rejected - rejectedBefore,
        },
        { name: 'http', accepted: httpInput.counts.accepted, refused: httpInput.counts.rejected },
      ],
      windows,
      journal: backlog.status(),
      writers: feeds.map((feed) => withPromise(feed.status(), promiseOf)),
      departed: writers
        .map(({ name, lanes }) => ({ name, dead: lanes.urgent.dead + lanes.normal.dead }))
        .filter(({ name, dead }) => dead > 0 && feeds.every(({ settings }) => settings.name !== name)),
    };
  };
}

function withPromise(status: FeedStatus, promiseOf: StatusSources['promiseOf']): WriterStatus {
  const promise = promiseOf?.(status.name);
  return promise === undefined ? status : { ...status, promise };
}

function sum(counts: PerLane<number>): number {
  return LANES.reduce((total, lane) => total + counts[lane], 0);
}
