import type { Journal } from '../../core/journal.ts';
import { LANES } from '../../core/lane.ts';

/** Of each lane's end so much is read: more than the tables of a few write buffers, which is how far a row that is lost can fall back. */
const READ_BYTES_MAX = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

/**
 * The highest seq of each sender's series in the last entries: where rows of a damaged store are lost, older ones come back, and a sender
 * would be asked for events that are here, or have them named as lost.
 */
export async function newestSeqs(journal: Journal): Promise<Map<string, number>> {
  const newest = new Map<string, number>();
  for (const lane of LANES) {
    const head = journal.head(lane);
    for (let at = await journal.positionAfter(lane, journal.bytes(lane) - READ_BYTES_MAX); at < head;) {
      const { entries, hole } = await journal.read(lane, at, READ_BYTES);
      for (const { kind, series, seq } of entries) if (kind !== 'made') newest.set(series, Math.max(seq, newest.get(series) ?? 0));
      const next = hole?.to ?? (entries.at(-1)?.position ?? at) + 1;
      at = Math.max(next, at + 1);
    }
  }
  return newest;
}
