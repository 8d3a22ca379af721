import { isFondacoError } from '../../core/errors.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import type { Draft, Journal } from '../../core/journal.ts';
import { DEAD_PREFIX } from '../dead-letters/dead-letters.ts';
import { DepartedWriter } from '../dead-letters/departed-writer.ts';
import { purgeLetters } from '../dead-letters/purge.ts';
import { REPLAY_PREFIX } from '../dead-letters/replay-row.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { AWAY_PREFIX } from './backlog-count.ts';
import { DELIVERY_PREFIX } from './delivery-series.ts';
import { FEED_PREFIX, type FeedRow } from './feed-row.ts';
import { OUTAGE_PREFIX } from './outage-rows.ts';

/**
 * Forgets a writer that has no feed any more: gives up its dead letters and what waits for it, which is announced, and deletes all its rows, the
 * last ones in one commit. One that comes back under its name is a new destination. A kill before that commit leaves a writer that is gone from
 * the config, with the dead letters that it still has. Resolves with what was given up, in entries; undefined where there was no such writer.
 * Rejects UNAVAILABLE or FULL where the journal takes nothing for 5 s.
 */
export async function forgetWriter(dispatcher: Dispatcher, name: string): Promise<number | undefined> {
  const departed = await DepartedWriter.open(dispatcher, name).catch((error: unknown) => {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    return undefined; // what it had cannot be counted any more
  });
  if (!departed && !dispatcher.knows(name)) return undefined;
  const letters = departed ? await purgeLetters(departed) : undefined;
  const keys = await keysOf(dispatcher.journal, name);
  let given = 0;
  const forget = (draft: Draft): boolean => {
    given = 0;
    if (departed) for (const lane of LANES) given += giveUp(dispatcher, draft, { name, lane, row: departed.row });
    for (const key of keys) draft.delete(key);
    dispatcher.forget(draft, name, given + (departed ? lostBy(departed.row) : 0));
    return true;
  };
  if (departed) await departed.command(forget);
  else await dispatcher.journal.commit(forget);
  return given + (letters && 'purged' in letters ? letters.purged : 0);
}

/** Everything from the cursor on. */
function giveUp(dispatcher: Dispatcher, draft: Draft, { name, lane, row }: { name: string; lane: Lane; row: FeedRow }): number {
  const { cursor } = row.lanes[lane];
  const head = dispatcher.journal.head(lane);
  if (head <= cursor) return 0;
  dispatcher.lose(draft, { kind: 'writer', id: `${name}/${lane}` }, 'purged', [cursor, head - 1]);
  return head - cursor;
}

function lostBy({ lanes }: FeedRow): number {
  return LANES.reduce((sum, lane) => sum + lanes[lane].dropped + lanes[lane].expired, 0);
}

async function keysOf(journal: Journal, name: string): Promise<string[]> {
  const keys = [FEED_PREFIX + name, AWAY_PREFIX + name, REPLAY_PREFIX + name, `${REPLAY_PREFIX}${name}/ids`];
  for (const prefix of [DELIVERY_PREFIX, OUTAGE_PREFIX, DEAD_PREFIX])
    for await (const { key } of journal.rows(`${prefix}${name}/`)) keys.push(key);
  return keys;
}
