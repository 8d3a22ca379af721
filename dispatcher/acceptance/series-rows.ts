/** The rows `series:<uuid>` and `rejection:<uuid>/<seq>`: how far each sender's series is known, and what its sender has yet to be told. */
import type { Rejection } from '../../core/batch.ts';
import type { Draft, Journal } from '../../core/journal.ts';
import type { Counts } from '../ledger/counts.ts';

export const SERIES_PREFIX = 'series:';
const REJECTION_PREFIX = 'rejection:';
/** Rows on disk by default; the oldest series leaves first. */
const ROWS_MAX = 1_000_000;
/** Of those in memory; the least recently used leaves first. */
const CACHE_MAX = 20_000;
const CLOSED_MAX = 10_000;
/** In one commit. */
const EVICTED_MAX = 1000;

export interface Series {
  readonly id: string;
  /** Every seq up to this is stored, rejected or declared lost. */
  last: number;
  /** Rejections that the sender may not have seen yet, in the order of their seqs. */
  rejections: Rejection[];
  isStored: boolean;
  /** Operations whose commit is not durable yet; while there are any, memory is ahead of the disk. */
  pending: number;
}

export class SeriesRows {
  readonly #journal: Journal;
  readonly #rowsMax: number;
  #cache = new Map<string, Series>();
  #loading = new Map<string, Promise<Series>>();
  /** Series that were closed in this life: a late repeat must not begin them anew. */
  readonly #closed = new Map<string, number>();
  /** Of those, the ones whose closing is not durable yet. */
  readonly #closing = new Set<string>();

  constructor(journal: Journal, rowsMax = ROWS_MAX) {
    this.#journal = journal;
    this.#rowsMax = rowsMax;
  }

  /** Forgets what memory holds: the journal was reopened. */
  clear(): void {
    this.#cache = new Map();
    this.#loading = new Map();
    for (const id of this.#closing) this.#closed.delete(id);
    this.#closing.clear();
  }

  /** Rows that are there, one by one: for a store that was damaged. */
  async count(): Promise<number> {
    let count = 0;
    for await (const _ of this.#journal.rows(SERIES_PREFIX)) count++;
    return count;
  }

  /** The series if it is in memory, else a promise of it. Calls for one series resolve in their order. */
  find(id: string): Series | Promise<Series> {
    const held = this.#cache.get(id);
    if (held) return held;
    let loading = this.#loading.get(id);
    if (!loading) {
      loading = this.#load(id);
      this.#loading.set(id, loading);
    }
    return loading;
  }

  /** The last seq of a series that was closed; `undefined` if it was not. */
  closedAt(id: string): number | undefined {
    return this.#closed.get(id);
  }

  /** Whether this very series object still speaks for its row (it does not after a reopening). */
  holds(series: Series): boolean {
    return this.#cache.get(series.id) === series;
  }

  put(draft: Draft, series: Series, counts: Counts): void {
    if (!series.isStored) {
      series.isStored = true;
      counts.series++;
    }
    this.#cache.delete(series.id); // to the end: most recently used
    this.#cache.set(series.id, series);
    draft.put(SERIES_PREFIX + series.id, () => ({ last: series.last }));
  }

  /** Those of these series, with their last seqs, whose rows are behind. */
  async behind(newest: ReadonlyMap<string, number>): Promise<{ series: Series; last: number }[]> {
    const behind: { series: Series; last: number }[] = [];
    for (const [id, last] of newest) {
      const series = await this.find(id);
      if (series.last < last) behind.push({ series, last });
    }
    return behind;
  }

  reject(draft: Draft, series: Series, rejection: Rejection): void {
    series.rejections.push(rejection);
    draft.put(rejectionKey(series.id, rejection.seq), () => ({ reason: rejection.reason }));
  }

  /** The sender has seen everything up to `seq`. */
  acknowledge(draft: Draft, series: Series, seq: number): void {
    let seen = 0;
    for (const rejection of series.rejections) {
      if (rejection.seq > seq) break;
      draft.delete(rejectionKey(series.id, rejection.seq));
      seen++;
    }
    if (seen > 0) series.rejections.splice(0, seen);
  }

  /** The sender needs nothing more of it: the row is freed. */
  close(draft: Draft, series: Series, counts: Counts): void {
    this.acknowledge(draft, series, Infinity);
    if (series.isStored) {
      draft.delete(SERIES_PREFIX + series.id);
      counts.series--;
    }
    this.#cache.delete(series.id);
    this.#closed.set(series.id, series.last);
    this.#closing.add(series.id);
    if (this.#closed.size > CLOSED_MAX) this.#closed.delete(this.#closed.keys().next().value!);
  }

  /** A closing is durable. */
  closed(id: string): void {
    this.#closing.delete(id);
  }

  /** Keeps memory within its limit: durable rows only, least recently used first. */
  trimCache(): void {
    if (this.#cache.size <= CACHE_MAX) return;
    let excess = this.#cache.size - CACHE_MAX;
    for (const [id, series] of this.#cache) {
      if (excess-- <= 0) return;
      if (series.pending === 0) this.#cache.delete(id);
    }
  }

  /** True when there are more rows than may be. */
  isOver(counts: Counts): boolean {
    return counts.series > this.#rowsMax;
  }

  /**
   * Keeps the disk within its limit. A UUIDv7 begins with its birth, so the first rows are the oldest series; those in memory are passed
   * over. `changed` is told the draft once `counts` has changed. A sender that comes back after all is told so by `expected: 1`.
   */
  async evict(counts: Counts, changed: (draft: Draft) => void): Promise<void> {
    if (!this.isOver(counts)) return;
    const victims = new Map<string, string[]>();
    for await (const { key } of this.#journal.rows(SERIES_PREFIX)) {
      const id = key.slice(SERIES_PREFIX.length);
      if (!this.#cache.has(id)) victims.set(id, await this.#rejectionKeys(id));
      if (victims.size >= Math.min(counts.series - this.#rowsMax, EVICTED_MAX)) break;
    }
    await this.#journal.commit((draft) => {
      for (const [id, rejections] of victims) {
        if (this.#cache.has(id) || this.#loading.has(id)) continue; // it came back meanwhile
        for (const key of [SERIES_PREFIX + id, ...rejections]) draft.delete(key);
        counts.series--;
      }
      changed(draft);
    });
  }

  async #rejectionKeys(id: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#journal.rows(`${REJECTION_PREFIX}${id}/`)) keys.push(key);
    return keys;
  }

  async #load(id: string): Promise<Series> {
    const loading = this.#loading;
    try {
      const row = (await this.#journal.row(SERIES_PREFIX + id)) as { last: number } | undefined;
      const rejections: Rejection[] = [];
      if (row) {
        const prefix = `${REJECTION_PREFIX}${id}/`;
        for await (const { key, value } of this.#journal.rows(prefix)) {
          const reason = (value as { reason: string } | undefined)?.reason ?? 'the stored reason is damaged';
          rejections.push({ seq: Number(key.slice(prefix.length)), reason });
        }
      }
      const series: Series = { id, last: row?.last ?? 0, rejections, isStored: row !== undefined, pending: 0 };
      if (this.#loading === loading) this.#cache.set(id, series);
      return series;
    } finally {
      loading.delete(id);
    }
  }
}

function rejectionKey(id: string, seq: number): string {
  return `${REJECTION_PREFIX}${id}/${String(seq).padStart(16, '0')}`;
}
