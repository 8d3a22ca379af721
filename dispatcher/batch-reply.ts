import type { Batch, BatchReply } from '../core/batch.ts';
import type { Series } from './series-rows.ts';

/** So that a reply stays below gRPC's 4 MiB, with reasons of some 300 bytes at most. */
const REJECTIONS_PER_REPLY = 5_000;

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
