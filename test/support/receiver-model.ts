import type { Batch, BatchReply, Rejection, SeqRange } from '../../core/batch.ts';
import { uuidText, uuidV7 } from '../../core/uuid.ts';

/** An event that the receiver stored, with where it stood in its series. */
export interface Stored {
  readonly series: string;
  readonly lane: Batch['lane'];
  readonly seq: number;
  readonly bytes: Buffer;
}

interface SeriesState {
  last: number;
}

/** The receiver's rules (design section 5, "Ingest"), in memory: one row per series, exact by (series, seq). */
export class ReceiverModel {
  journal = uuidV7(1_700_000_000_000);
  rows = new Map<string, SeriesState>();
  readonly stored: Stored[] = [];
  /** What it was told is lost, or found to be. */
  readonly lost: { readonly series: string; readonly range: SeqRange; readonly cause: string }[] = [];
  readonly closed: string[] = [];
  /** Seqs, of any series, that it will never take, with the reason. */
  rejects: (seq: number, bytes: Uint8Array) => string | undefined = () => undefined;

  take(batch: Batch): BatchReply {
    const series = uuidText(batch.series);
    const reply = { series: batch.series, journal: this.journal, rejections: [] };
    if (batch.isClosing) {
      this.rows.delete(series);
      this.closed.push(series);
      return { ...reply, settled: batch.after };
    }
    const row = this.rows.get(series) ?? { last: 0 };
    if (row.last < batch.after) {
      if (!batch.isGone) return { ...reply, settled: row.last, expected: row.last + 1 };
      if (batch.settledBy === this.journal) {
        this.lost.push({ series, range: { first: row.last + 1, last: batch.after }, cause: 'restored' });
      }
      row.last = batch.after;
    }
    this.rows.set(series, row);
    const rejections = this.#store(batch, series, row);
    return { ...reply, settled: row.last, rejections };
  }

  #store(batch: Batch, series: string, row: SeriesState): Rejection[] {
    const rejections: Rejection[] = [];
    const known = row.last;
    let seq = batch.after;
    const lost = [...batch.lost];
    const passLost = (): void => {
      while (lost[0]?.first === seq + 1) {
        const range = lost.shift()!;
        if (range.last > known)
          this.lost.push({ series, range: { first: Math.max(range.first, known + 1), last: range.last }, cause: range.cause });
        seq = range.last;
      }
    };
    for (const bytes of batch.events) {
      passLost();
      seq++;
      if (seq <= known) continue;
      const reason = this.rejects(seq, bytes);
      if (reason === undefined) this.stored.push({ series, lane: batch.lane, seq, bytes: Buffer.from(bytes) });
      else rejections.push({ seq, reason });
    }
    passLost();
    row.last = Math.max(known, seq);
    return rejections;
  }

  /** What a restore from an older copy does: the last `count` events are gone, and so are the rows' numbers. */
  forgetLast(count: number): void {
    this.stored.splice(Math.max(0, this.stored.length - count));
    for (const [series, row] of this.rows) {
      row.last = this.stored.reduce((last, event) => (event.series === series ? Math.max(last, event.seq) : last), 0);
    }
  }
}
