import { isFondacoError } from '../../core/errors.ts';
import type { Draft } from '../../core/journal.ts';
import { LANES, perLane, type PerLane } from '../../core/lane.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { FEED_PREFIX, newFeedRow, type FeedRow } from './feed-row.ts';
import type { Filter } from './filter.ts';
import { beginningOf } from '../ledger/ledger.ts';
import { lostFeedRow, mendDeadLetters } from '../ledger/mend.ts';

/** What a damaged store cost a writer. */
export interface FeedDamage {
  /** Its row was lost and is put together again. */
  readonly isRowLost: boolean;
  /** Dead letters that are gone; below 0 for those that came back. */
  readonly lost: PerLane<number>;
  /** Keys of rows to be deleted. */
  readonly damaged: readonly string[];
}

/** A writer's row as the journal has it: stored, mended, or new, for a destination that is seen for the first time. Rejects as a read does. */
export async function loadFeedRow(
  dispatcher: Dispatcher,
  { name, filter }: { readonly name: string; readonly filter: Filter },
): Promise<{ row: FeedRow; damage: FeedDamage }> {
  const { journal, clock } = dispatcher;
  const stored = await journal.row(FEED_PREFIX + name).catch((error: unknown) => {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    return 'damaged' as const;
  });
  if (stored === 'damaged' || (stored === undefined && dispatcher.knows(name))) {
    const { row, damaged } = await lostFeedRow(journal, name, { counts: dispatcher.counts, filter, now: clock.now() });
    return { row, damage: { isRowLost: true, lost: perLane(() => 0), damaged } };
  }
  // Before the first event a store holds what it says of itself, such as that the one before it is gone: every writer is to hear that.
  const isFirst = LANES.every((lane) => dispatcher.counts.accepted[lane] === 0);
  const beginning = await beginningOf(journal, { isFirst });
  const row = (stored as FeedRow | undefined) ?? newFeedRow(beginning, filter, clock.now());
  return { row, damage: { isRowLost: false, ...(await mendDeadLetters(journal, name, row)) } };
}

/** Tells, in the commit that puts the row, what a damaged store cost this writer. */
export function tellDamage(draft: Draft, dispatcher: Dispatcher, name: string, { isRowLost, lost, damaged }: FeedDamage): void {
  if (isRowLost) dispatcher.reportMended(draft, [`writer ${name} has lost its place: it gets everything that is kept once more`]);
  for (const lane of LANES) {
    if (lost[lane] > 0) dispatcher.lose(draft, { kind: 'writer', id: `${name}/${lane}` }, 'corrupt', [1, lost[lane]]);
  }
  for (const key of damaged) draft.delete(key);
}
