/**
 * The inside of a proxy on a real journal, small enough for LevelDB to switch logs, write tables and compact every few commits: what the
 * load of the power cuts and their judge both open. A cut is judged at the pace of this clock.
 */
import type { Batch } from '../../../core/batch.ts';
import type { Clock } from '../../../core/clock.ts';
import { FondacoError } from '../../../core/errors.ts';
import type { Journal } from '../../../core/journal.ts';
import { uuidBytes } from '../../../core/uuid.ts';
import type { Delivery, Writer } from '../../../core/writer.ts';
import { Dispatch } from '../../../dispatcher/dispatch.ts';
import { LevelJournal } from '../../../journal/level-journal.ts';
import { nativeJson } from '../../../writers/native-json.ts';
import { eventBytes } from '../../support/dispatch-kit.ts';
import { fastClock } from '../../support/fast-clock.ts';

/** `ops` takes everything, `picky` never every 97th event, `away` loses what is older than a second of its clock. */
export const WRITERS = ['ops', 'picky', 'away'] as const;
export type WriterName = (typeof WRITERS)[number];

/** One delivery as its destination has it, with the entry's place. */
export interface Seen {
  readonly text: string;
  readonly position: number;
}

export interface SenderState {
  readonly tag: 'u' | 'n';
  /** UUID. */
  readonly series: string;
  /** The highest seq that it was told is settled, and that it ever sent. */
  acked: number;
  sent: number;
}

const SPEED = 10;
const PAD = 'x'.repeat(160);

export interface PowerSite {
  readonly journal: Journal;
  readonly dispatch: Dispatch;
  /** Begins to deliver; before that nothing changes in the store. */
  start(): void;
  /** Ends the deliveries and closes the journal. */
  close(): Promise<void>;
}

export interface PowerSiteOptions {
  /** Told of what a destination has, when it has it. */
  readonly onTaken: (writer: WriterName, deliveries: readonly Seen[]) => void;
  /** Whether `away` answers now. */
  readonly isReached: () => boolean;
  readonly clock?: Clock;
}

export async function openPowerSite(
  directory: string,
  { onTaken, isReached, clock = fastClock(SPEED) }: PowerSiteOptions,
): Promise<PowerSite> {
  const journal = await LevelJournal.open(directory, {
    clock,
    stamp: { site: 'plant-7' },
    writeBufferBytes: 64 * 1024,
    reserveBytes: 128 * 1024,
    recentBytes: 64 * 1024,
  });
  const take = (name: WriterName, refuse: (batch: readonly Delivery[]) => FondacoError | undefined): Writer => ({
    write: (batch) => {
      const error = refuse(batch);
      if (error) return Promise.reject(error);
      onTaken(
        name,
        batch.map((delivery) => ({ text: nativeJson(delivery), position: delivery.entry.position })),
      );
      return Promise.resolve();
    },
  });
  const retry = { policy: 'backoff', initialMs: 100, maxMs: 500 } as const;
  const batch = { intervalMs: 100, eventsMax: 40 };
  const dispatch = await Dispatch.open(journal, {
    clock,
    dedup: { intervalMs: 2000, windowsMax: 200 },
    budget: { retentionMs: 0 },
    writers: [
      { name: 'ops', retry, batch, writer: take('ops', () => undefined) },
      { name: 'picky', retry, batch, writer: take('picky', (events) => (events.some(isPoison) ? REJECTED : undefined)) },
      { name: 'away', retry, batch, backlog: { ageMaxMs: 1000 }, writer: take('away', () => (isReached() ? undefined : UNAVAILABLE)) },
    ],
  });
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  return {
    journal,
    dispatch,
    start: () => {
      running = dispatch.run(stop.signal);
    },
    close: async () => {
      stop.abort();
      await running;
      await journal.close();
    },
  };
}

const REJECTED = new FondacoError('REJECTED', 'the events must be taken, got one that never is');
const UNAVAILABLE = new FondacoError('UNAVAILABLE', 'the destination must answer, got nothing');

function isPoison({ event }: Delivery): boolean {
  return event.type === 'test.Event' && (event.attributes as { n?: number }).n! % 97 === 0;
}

/** What the n-th event of a sender says; every third says what the one before said, and folds. */
export function messageOf(tag: SenderState['tag'], n: number): string {
  return `${tag} ${n % 3 === 0 ? n - 1 : n}`;
}

export function bytesOf(tag: SenderState['tag'], n: number): Uint8Array {
  const message = messageOf(tag, n);
  const attributes = { n: Number(message.slice(2)), pad: PAD };
  return eventBytes({ type: 'test.Event', severity: tag === 'u' ? 'critical' : 'info', message, attributes });
}

/** The events from `after` on to `last`, as a sender that keeps the rules sends them. */
export function batchOf({ tag, series, acked }: SenderState, after: number, last: number): Batch {
  return {
    series: uuidBytes(series)!,
    lane: tag === 'u' ? 'urgent' : 'normal',
    after,
    settled: acked,
    settledBy: '',
    isGone: false,
    lost: [],
    events: Array.from({ length: last - after }, (_, at) => bytesOf(tag, after + 1 + at)),
    isClosing: false,
    sender: { node: 'n1', component: 'c1' },
  };
}
