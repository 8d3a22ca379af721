/**
 * What becomes of a batch, decided within one operation of the journal: entries, series rows, rejections, dedup windows, the ledger and
 * losses, all or none. The rules of a batch are told in proto/fondaco/v1/service.proto.
 */
import type { Batch, BatchReply, LostRange } from '../../core/batch.ts';
import { completeEvent, keepInKey, typeOf } from '../../core/complete-event.ts';
import { FondacoError } from '../../core/errors.ts';
import { EventWalk } from '../../core/event-walk.ts';
import type { Draft, Journal, NewEntry } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import type { Forwarded } from './forwarded.ts';
import type { TypeRules } from '../../core/type-rules.ts';
import { uuidText } from '../../core/uuid.ts';
import { LEDGER_ROW, type Counts } from '../ledger/counts.ts';
import type { Dedup } from './dedup.ts';
import type { LossOrigin } from '../ledger/losses.ts';
import { ownTypeProblem } from '../own-events.ts';
import { refusedBytes, type RejectedEvents } from './rejected-events.ts';
import type { Series, SeriesRows } from './series-rows.ts';

/** So that a reply stays below gRPC's 4 MiB, with reasons of some 300 bytes at most. */
const REJECTIONS_PER_REPLY = 5_000;

/** What a batch changes, as it was loaded last. */
export interface AcceptanceParts {
  readonly journal: Journal;
  readonly series: SeriesRows;
  readonly dedup: Dedup;
  readonly counts: Counts;
  readonly rejected: RejectedEvents;
  /** The severity number from which on an event goes to the urgent lane. */
  readonly urgentFrom: number;
  readonly types: TypeRules | undefined;
  /** Fields that filters name and a dedupKey may leave out; grows while this runs. */
  readonly keptFields: ReadonlySet<string>;
  readonly forwarded: Forwarded;
  /** See Dispatcher.lose. */
  readonly lose: (draft: Draft, origin: LossOrigin, cause: LostRange['cause'], range: readonly [number, number]) => void;
}

export class Acceptance {
  readonly #parts: AcceptanceParts;
  readonly #walk = new EventWalk();

  constructor(parts: AcceptanceParts) {
    this.#parts = parts;
  }

  /** Adds the batch to the commit; the reply holds when that is durable. Throws UNAVAILABLE, with nothing added, after a reopening. */
  take(draft: Draft, series: Series, batch: Batch): BatchReply {
    const { journal, series: rows, counts } = this.#parts;
    const closedAt = rows.closedAt(series.id);
    if (closedAt !== undefined) return { ...batchReply(journal.id, batch, series), settled: closedAt };
    if (!rows.holds(series)) throw new FondacoError('UNAVAILABLE', 'the journal was reopened, send again', { retryAfterMs: 100 });
    if (series.last < batch.after) {
      if (!batch.isGone) return { ...batchReply(journal.id, batch, series), expected: series.last + 1 };
      this.#passOver(draft, series, batch);
    }
    rows.acknowledge(draft, series, batch.settled);
    const before = series.last;
    this.#store(draft, series, batch);
    const reply = batchReply(journal.id, batch, series);
    if (batch.isClosing) rows.close(draft, series, counts);
    else if (series.last > before || batch.isGone) rows.put(draft, series, counts);
    draft.put(LEDGER_ROW, () => counts);
    return reply;
  }

  /** What lies between what is known and `after` will not come. If this journal had settled it, this journal lost it. */
  #passOver(draft: Draft, series: Series, batch: Batch): void {
    if (batch.settledBy === this.#parts.journal.id) this.#loseSeqs(draft, batch, 'restored', [series.last + 1, batch.after]);
    series.last = batch.after;
  }

  #store(draft: Draft, series: Series, batch: Batch): void {
    const { lost, events } = batch;
    const entry: NewEntry = { series: batch.series, seq: 0, kind: 'accepted', first: 0, bytes: batch.series, start: 0, end: 0 };
    let seq = batch.after;
    let nextLost = 0;
    for (let i = 0; i <= events.length; i++) {
      for (; nextLost < lost.length && (lost[nextLost]!.first === seq + 1 || i === events.length); nextLost++) {
        const range = lost[nextLost]!;
        if (range.last > series.last) this.#loseSeqs(draft, batch, range.cause, [Math.max(range.first, series.last + 1), range.last]);
        seq = range.last;
      }
      if (i === events.length) break;
      seq++;
      if (seq <= series.last) continue;
      if (batch.forwarder === undefined) this.#storeEvent(draft, series, entry, { seq, bytes: events[i]!, batch });
      else this.#storeForwarded(draft, series, { ...entry, seq, bytes: events[i]!, end: events[i]!.length }, batch.forwarder, batch.lane);
    }
    series.last = Math.max(series.last, seq);
    for (const event of batch.refused ?? []) this.#parts.rejected.keep(draft, event);
  }

  #storeEvent(
    draft: Draft,
    series: Series,
    entry: NewEntry,
    { seq, bytes, batch }: { seq: number; bytes: Uint8Array; batch: Batch },
  ): void {
    const walk = this.#walk;
    const { types, counts, dedup, urgentFrom, keptFields } = this.#parts;
    const given = bytes;
    if (types) bytes = completeEvent(given, types);
    const reason = walk.over(bytes, 0, bytes.length) ? (ownTypeProblem(bytes) ?? types?.refusal(typeOf(bytes))) : walk.reason;
    if (reason !== undefined) {
      this.#parts.series.reject(draft, series, { seq, reason });
      this.#parts.rejected.keep(draft, refusedBytes(given, `${series.id}-${seq}`, reason));
      counts.rejected++;
      this.#parts.lose(draft, originOf(batch), 'rejected', [seq, seq]);
      return;
    }
    if (walk.moreEnd > 0 && keptFields.size > 0) {
      bytes = keepInKey(bytes, walk, [...keptFields].sort());
      walk.over(bytes, 0, bytes.length);
    }
    entry.seq = seq;
    entry.kind = 'accepted';
    entry.first = 0;
    entry.bytes = bytes;
    entry.start = 0;
    entry.end = bytes.length;
    const lane = dedup.append(draft, walk.severity >= urgentFrom ? 'urgent' : 'normal', entry, walk);
    counts.accepted[lane]++;
  }

  /** As it is, in its sender's lane. One that is rejected is kept there as a dead letter: no loss. */
  #storeForwarded(draft: Draft, series: Series, entry: NewEntry, forwarder: string, lane: Lane): void {
    const { forwarded, counts, rejected, series: rows } = this.#parts;
    const { bytes, seq } = entry;
    const fate = forwarded.look(draft, bytes, forwarder);
    if ('reason' in fate) {
      rows.reject(draft, series, { seq, reason: fate.reason });
      rejected.keep(draft, refusedBytes(bytes, `${series.id}-${seq}`, fate.reason));
      return;
    }
    if (fate.hasBeenHere) return;
    draft.append(lane, entry);
    counts.accepted[lane]++;
    counts.added++;
  }

  #loseSeqs(draft: Draft, batch: Batch, cause: LostRange['cause'], range: readonly [number, number]): void {
    this.#parts.counts.lost += range[1] - range[0] + 1;
    this.#parts.lose(draft, originOf(batch), cause, range);
  }
}

function originOf(batch: Batch): LossOrigin {
  return { kind: 'series', id: uuidText(batch.series), node: batch.sender.node, component: batch.sender.component };
}

/** What a batch is answered: how far its series is known, and the rejections that its sender may not have seen. */
export function batchReply(journal: string, batch: Batch, series: Series): BatchReply {
  let known = series.rejections.length;
  while (known > 0 && series.rejections[known - 1]!.seq > batch.after) known--;
  const reply = { series: batch.series, journal };
  const rejections = series.rejections.slice(known, known + REJECTIONS_PER_REPLY);
  const isWhole = known + rejections.length === series.rejections.length;
  // As much as a message holds; the sender hears the rest when it goes on from there.
  return { ...reply, settled: isWhole ? series.last : rejections.at(-1)!.seq, rejections };
}
