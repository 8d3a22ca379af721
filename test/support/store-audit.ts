/**
 * A store looked at from outside: read with the disk format alone, sharing no counter with the code that wrote it, so that the books can be
 * checked against what is really there.
 */
import { decodeEvent, type DecodedEvent } from '../../core/event-codec.ts';
import type { Entry, Epoch } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { readBlob } from '../../journal/blob.ts';
import { blobKey, blobsEnd, positionOf, rowKey, rowRange } from '../../journal/keys.ts';
import type { MemoryStorage } from '../../journal/memory-journal.ts';
import { decodeRecord, encodeRecord } from '../../journal/row-record.ts';

export interface Audit {
  readonly entries: PerLane<Entry[]>;
  /** Σ `added` of all entries, and what the window rows hold that no summary has reported. */
  readonly added: number;
  readonly held: number;
  readonly accepted: number;
}

/** Reads everything. Throws when positions are not dense, or when a series is stored twice or out of order within a lane. */
export function auditStore(storage: MemoryStorage): Audit {
  const epochs = new Map((rowOf(storage, 'm:epochs') as { epochs: Epoch[] }).epochs.map((epoch) => [epoch.number, epoch]));
  const entries = perLane((lane) => entriesOf(storage, lane, epochs));
  checkSeries(entries);
  const all = LANES.flatMap((lane) => entries[lane]);
  const accepted = all.filter(({ kind }) => kind !== 'made').length;
  const firsts = all.filter(({ kind }) => kind === 'accepted').length;
  const summaries = all.filter(({ kind }) => kind === 'made').map((entry) => decodeOf(entry));
  const added = firsts + sum(summaries.filter(({ revision }) => revision > 0).map((event) => event.added));
  const held = sum(rowsOf(storage, 'window:').map(({ value }) => (value as { held: number }).held));
  return { entries, added, held, accepted };
}

/** One row as it is stored. */
export function rowOf(storage: MemoryStorage, key: string): unknown {
  const bytes = storage.get(rowKey(key));
  return bytes && decodeRecord(rowKey(key), bytes).value;
}

/** Overwrites a row with something else, under a right checksum. */
export function tamper(storage: MemoryStorage, key: string, change: (value: unknown) => unknown): void {
  storage.apply([{ key: rowKey(key), value: encodeRecord(rowKey(key), change(rowOf(storage, key)), 1_000_000) }]);
}

export function rowsOf(storage: MemoryStorage, prefix: string): { key: string; value: unknown }[] {
  return storage.range(...rowRange(prefix)).map(([key, record]) => ({ key: key.toString('utf8'), value: decodeRecord(key, record).value }));
}

/** The entry's event, decoded without the cache that readers share. */
export function decodeOf(entry: Entry): DecodedEvent {
  return decodeEvent(entry.bytes, { id: `${entry.series}-${entry.seq}`, site: '', labels: undefined, receivedTime: '' });
}

/** Flips a bit in the blob that holds `position`; returns the positions that it takes with it. */
export function damage(storage: MemoryStorage, lane: Lane, position: number): { from: number; to: number } {
  const [key, value] = storage.range(blobKey(lane, 0), blobKey(lane, position + 1)).at(-1)!;
  const count = value.readUInt16BE(5);
  value[value.length - 1]! ^= 1;
  storage.apply([{ key, value }]);
  return { from: positionOf(key), to: positionOf(key) + count };
}

function entriesOf(storage: MemoryStorage, lane: Lane, epochs: ReadonlyMap<number, Epoch>): Entry[] {
  const entries: Entry[] = [];
  for (const [key, value] of storage.range(blobKey(lane, 0), blobsEnd(lane))) {
    const first = positionOf(key);
    if (first !== entries.length + 1) throw new Error(`the next ${lane} position must be ${entries.length + 1}, got ${first}`);
    for (const entry of readBlob({ lane, first, key, value }, (number) => epochs.get(number)!)) entries.push(entry);
  }
  const { head } = (rowOf(storage, 'm:lanes') as PerLane<{ head: number }>)[lane];
  if (head !== entries.length + 1) throw new Error(`the head of ${lane} must be ${entries.length + 1}, got ${head}`);
  return entries;
}

function checkSeries(entries: PerLane<Entry[]>): void {
  const seen = new Set<string>();
  for (const lane of LANES) {
    const last = new Map<string, number>();
    for (const { series, seq, position } of entries[lane]) {
      const before = last.get(series) ?? 0;
      if (seq <= before) throw new Error(`${lane}/${position}: seq ${seq} of ${series} must come after ${before}`);
      last.set(series, seq);
      if (seen.has(`${series}-${seq}`)) throw new Error(`${lane}/${position}: ${series}-${seq} must be there once, got it again`);
      seen.add(`${series}-${seq}`);
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
