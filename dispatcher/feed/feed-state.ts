/**
 * How the state of a writer changes, in its row. A pause lies over whatever else it is: a destination that refuses us while it is paused is
 * found refused when it is resumed.
 */
import type { FeedRow, RowState } from './feed-row.ts';

/** What it is, a pause apart. */
export function stateBelow(row: FeedRow): RowState {
  return row.state === 'paused' ? row.paused!.was : row.state;
}

/** Nothing is to be sent, for as long as a person wants it so. */
export function isHeld({ state }: FeedRow): boolean {
  return state === 'suspended' || state === 'paused';
}

/** By a person. False: it was paused already. */
export function pause(row: FeedRow, now: number): boolean {
  if (row.state === 'paused') return false;
  row.paused = { since: now, was: row.state };
  row.state = 'paused';
  delete row.resumedAt;
  return true;
}

/** By a person: out of a pause, a refusal or a suspension. False: there was nothing to resume from. */
export function resume(row: FeedRow, now: number): boolean {
  const was = stateBelow(row);
  if (row.state === 'delivering') return false;
  delete row.paused;
  row.state = 'delivering';
  row.resumedAt = now;
  if (was !== 'delivering') anew(row);
  return true;
}

/** The destination will not have us, or, with `isFull`, there is no room for another dead letter. True: it was not refused before. */
export function refuse(row: FeedRow, isFull: boolean): boolean {
  const isNew = stateBelow(row) !== 'refused';
  become(row, 'refused');
  if (isFull) row.isFull = true;
  else delete row.isFull;
  return isNew;
}

/** A policy came to its end. */
export function suspend(row: FeedRow): void {
  become(row, 'suspended');
}

/** Something was delivered. True: that is news. */
export function succeed(row: FeedRow): boolean {
  const isNews = row.state === 'refused' || row.resumedAt !== undefined;
  row.loneRejections = 0;
  if (stateBelow(row) === 'refused') become(row, 'delivering');
  delete row.isFull;
  delete row.resumedAt;
  return isNews;
}

/** What it was refused for is over, as far as one can see: there is room for dead letters, or a replay delivers. False: it was not refused. */
export function release(row: FeedRow, now: number): boolean {
  if (stateBelow(row) !== 'refused') return false;
  become(row, 'delivering');
  anew(row);
  if (row.state === 'delivering') row.resumedAt = now;
  return true;
}

function become(row: FeedRow, state: RowState): void {
  if (row.paused) row.paused.was = state;
  else row.state = state;
  delete row.resumedAt;
}

/** The next attempt is the first one. */
function anew(row: FeedRow): void {
  row.loneRejections = 0;
  delete row.isFull;
  for (const lane of Object.values(row.lanes)) lane.attempts = lane.waitMs = 0;
}
