/** What is in the streams of a lane each, held against what was recorded. */
import { LANES, type Lane } from '../../core/lane.ts';
import type { Received } from '../contract/writer-contract.ts';
import type { RecordedIds } from './site.ts';

export interface StreamCounts {
  readonly lost: number;
  readonly repeated: number;
  readonly wrongCounts: number;
}

/**
 * `lost`: recorded, and not there. `wrongCounts`: what is there twice, was never recorded, or stands out of its order. For a writer that was there from
 * the start, without dedup, whose promise is once.
 */
export function judgeStreams(streams: Readonly<Record<Lane, readonly Received[]>>, recorded: RecordedIds): StreamCounts {
  let [lost, wrongCounts] = [0, 0];
  for (const lane of LANES) {
    const all = streams[lane].map(({ id }) => id);
    const there = new Set(all);
    wrongCounts += all.length - there.size;
    const agents = streams[lane].filter(({ type }) => !type.startsWith('fondaco.')).map(({ id }) => id);
    const known = new Set(recorded[lane]);
    lost += recorded[lane].filter((id) => !there.has(id)).length;
    wrongCounts += agents.filter((id) => !known.has(id)).length;
    const inOrder = recorded[lane].filter((id) => there.has(id));
    wrongCounts += inOrder.filter((id, i) => agents[i] !== id).length;
  }
  return { lost, repeated: 0, wrongCounts };
}
