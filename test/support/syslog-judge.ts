/** What a syslog server has written, or a table holds, held against what was recorded. */
import { LANES } from '../../core/lane.ts';
import type { SyslogEvent } from './from-syslog.ts';
import type { RecordedIds } from './site.ts';

/**
 * `lost`: recorded, and not there. `wrongCounts`: what was never recorded, a repeat that differs, an event out of its lane's order or a number of a
 * delivery series that was passed over. For a writer that was there from the start, without dedup.
 */
export function judgeSyslog(
  events: readonly Pick<SyslogEvent, 'id' | 'type' | 'lane' | 'series' | 'seq'>[],
  ids: RecordedIds,
): { lost: number; repeated: number; wrongCounts: number } {
  let [lost, repeated, wrongCounts] = [0, 0, 0];
  for (const lane of LANES) {
    const first = new Map<string, string>();
    const lastSeq = new Map<string, number>();
    const mine = events.filter((event) => event.lane === lane);
    for (const event of mine) {
      const { id, series, seq } = event;
      const text = JSON.stringify(event);
      const before = first.get(id);
      if (before !== undefined) {
        repeated++;
        if (before !== text) wrongCounts++;
        continue;
      }
      first.set(id, text);
      if (seq !== (lastSeq.get(series) ?? 0) + 1) wrongCounts++;
      lastSeq.set(series, seq);
    }
    const agents = mine.filter(({ type }) => !type.startsWith('fondaco.'));
    const got = [...new Set(agents.map(({ id }) => id))];
    const known = new Set(ids[lane]);
    lost += ids[lane].filter((id) => !first.has(id)).length;
    wrongCounts += got.filter((id) => !known.has(id)).length;
    const inOrder = ids[lane].filter((id) => first.has(id));
    wrongCounts += inOrder.filter((id, i) => got[i] !== id).length;
  }
  return { lost, repeated, wrongCounts };
}
