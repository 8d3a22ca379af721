/** Short ways to fill a journal and to read all of it. */
import type { Draft, Entry, EntryKind, Journal, NewEntry } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { uuidBytes, uuidText } from '../../core/uuid.ts';

export const SERIES_A = uuidText(uuidBytes('0199e0c4-7b1e-7000-8000-00000000000a')!);
export const SERIES_B = uuidText(uuidBytes('0199e0c4-7b1e-7000-8000-00000000000b')!);

/** An entry whose bytes are `text`. The journal does not look into them. */
export function newEntry(
  seq: number,
  text: string,
  { kind = 'accepted', first = 0, series = SERIES_A }: { kind?: EntryKind; first?: number; series?: string } = {},
): NewEntry {
  const bytes = Buffer.from(text, 'utf8');
  return { series: uuidBytes(series)!, seq, kind, first, bytes, start: 0, end: bytes.length };
}

/** Appends one entry per text, in one operation, and returns their positions. */
export function append(draft: Draft, lane: Lane, texts: readonly string[]): number[] {
  return texts.map((text, at) => draft.append(lane, newEntry(at + 1, text)));
}

/** Commits one entry per text, in one operation, and waits until they are durable. */
export function record(journal: Journal, lane: Lane, ...texts: string[]): Promise<number[]> {
  return journal.commit((draft) => append(draft, lane, texts));
}

export interface WholeLane {
  readonly entries: Entry[];
  readonly holes: { from: number; to: number }[];
  readonly stretches: number;
}

/** Reads a lane as a feed does: stretch by stretch from `from` (its tail) to its head, stepping over holes. */
export async function readLane(journal: Journal, lane: Lane, { from = journal.tail(lane), bytesMax = 1 << 20 } = {}): Promise<WholeLane> {
  const entries: Entry[] = [];
  const holes: { from: number; to: number }[] = [];
  let stretches = 0;
  for (let next = from; next < journal.head(lane); stretches++) {
    const stretch = await journal.read(lane, next, bytesMax);
    for (const entry of stretch.entries) {
      if (entry.position !== next) throw new Error(`expected position ${next} of ${lane}, got ${entry.position}`);
      entries.push(entry);
      next++;
    }
    if (stretch.hole) {
      if (stretch.hole.from !== next || stretch.hole.to <= next)
        throw new Error(`a hole at ${next} must begin there, got ${JSON.stringify(stretch.hole)}`);
      holes.push(stretch.hole);
      next = stretch.hole.to;
    } else if (stretch.entries.length === 0) throw new Error(`nothing to read at ${next} of ${lane}, below its head ${journal.head(lane)}`);
  }
  return { entries, holes, stretches };
}

/** What a reader may rely on in an entry, without its place in memory. */
export function plain(entries: readonly Entry[]): unknown[] {
  return entries.map(({ lane, position, epoch, receivedAt, series, seq, kind, first, bytes }) => ({
    lane,
    position,
    epoch,
    receivedAt,
    series,
    seq,
    kind,
    first,
    text: bytes.toString('utf8'),
  }));
}

export function textsOf(entries: readonly Entry[]): string[] {
  return entries.map((entry) => entry.bytes.toString('utf8'));
}
