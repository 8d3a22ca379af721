/** The row `feed:<writer>`: everything a feed knows that must outlive the process. */
import type { FondacoError } from '../../core/errors.ts';
import { perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { cutText } from '../../core/short-error.ts';
import { formatMs } from '../../core/time.ts';
import { uuidV7 } from '../../core/uuid.ts';
import type { Counts } from '../ledger/counts.ts';
import type { Loss } from '../ledger/losses.ts';
import type { Filter } from './filter.ts';
import type { OpenOutage } from './outage.ts';

export const FEED_PREFIX = 'feed:';

export interface FeedRow {
  filter: Filter;
  /** Deliveries of two batches of the life that wrote this: one that was being settled, and one that was being written (lane-feed.ts). */
  unsettledMax: number;
  /** Its writer's resendWindow, where it has one: so much more may have been sent and not settled. */
  resendWindow?: number;
  state: RowState | 'paused';
  /** Of a paused one: since when, by the wall clock in ms, and what it is underneath. */
  paused?: { readonly since: number; was: RowState };
  /** Refused for want of room for another dead letter: over as soon as there is some. */
  isFull?: true;
  /** When it was resumed, wall clock in ms, as long as nothing was delivered since. */
  resumedAt?: number;
  /** Lone rejections in a row, without a success between. */
  loneRejections: number;
  lastError?: FeedError;
  /** From the first attempt that failed until something is delivered. */
  outage?: OpenOutage;
  /** How many outages were told. */
  outages?: number;
  /** What loss notices said that this writer has given up: told when it is back. */
  untold?: Loss[];
  lanes: PerLane<FeedLane>;
}

/** `refused`: the destination will not have us, or refuses everything; kept, probed. `suspended`: a policy ended; waits to be resumed. */
export type RowState = 'delivering' | 'refused' | 'suspended';

/** What a destination said, or what kept us from it. */
export interface FeedError {
  readonly message: string;
  readonly status?: string;
  readonly answer?: string;
  /** Wall clock, ms. */
  readonly at: number;
}

/** As it is shown: `at` is RFC 3339, like every time. */
export type ShownError = Omit<FeedError, 'at'> & { readonly at: string };

export function shownError(error: FeedError): ShownError {
  return { ...error, at: formatMs(error.at) };
}

/** Failed attempts in a row, and the wait after the last one. */
export interface RetryState {
  attempts: number;
  /** When the first of them was; of no meaning while there are none. Wall clock, ms, like `waitSince`. */
  failingSince?: number;
  waitMs: number;
  waitSince: number;
  /** Of the wait, what the destination asked for (`Retry-After`). */
  askedMs?: number;
}

export interface FeedLane extends RetryState {
  /** Where this writer began, and what was accepted and made before. */
  start: number;
  acceptedBefore: number;
  madeBefore: number;
  /** The first position that is not settled. */
  cursor: number;
  /** The delivery series, the epoch that its entries are of, and the seq of the last settled one. */
  series: string;
  epoch: number;
  seq: number;
  delivered: number;
  folded: number;
  filtered: number;
  dead: number;
  expired: number;
  dropped: number;
  /** See Writer.note. */
  note?: string;
  /** What the dead letters take. */
  deadBytes: number;
  /** See delivery-series.ts: how many rows there were, numbers of the series that became dead letters, and what was given up just before it. */
  rows?: number;
  setAside?: [first: number, last: number][];
  gaveUp?: {
    series: string;
    seq: number;
    dead: [number, number][];
    cause: 'epoch' | 'filter' | 'replay' | 'age' | 'budget' | 'corrupt';
    entries: number;
  };
  /**
   * With a resendWindow: the series that sending has begun and settling has not reached, by the position where they begin. They are here before
   * anything is sent under them, for it may come again.
   */
  begun?: Record<string, string>;
  /** The filter before a change, and for how many deliveries it still goes: those that may have been in flight. What lies from `head` on came later. */
  before?: { filter: Filter; deliveries: number; head?: number };
}

/** The journal's heads and counts, as of one and the same commit. */
export interface Beginning {
  readonly heads: PerLane<number>;
  readonly counts: Counts;
  readonly epoch: number;
}

/** A writer's row when it is seen for the first time: it gets what comes from now on. */
export function newFeedRow({ heads, counts, epoch }: Beginning, filter: Filter, now: number): FeedRow {
  const lane = (name: Lane): FeedLane => ({
    start: heads[name],
    acceptedBefore: counts.accepted[name],
    madeBefore: counts.made[name],
    cursor: heads[name],
    series: uuidV7(now),
    epoch,
    seq: 0,
    delivered: 0,
    folded: 0,
    filtered: 0,
    dead: 0,
    expired: 0,
    dropped: 0,
    deadBytes: 0,
    attempts: 0,
    waitMs: 0,
    waitSince: 0,
  });
  return { filter, unsettledMax: 0, state: 'delivering', loneRejections: 0, lanes: perLane(lane) };
}

/** A failure as it is kept and shown, with at most 2 KiB of its message and of the answer. */
export function errorOf(failure: FondacoError, at: number): FeedError {
  const { status, answer } = failure.facts;
  return {
    message: cutText(failure.message),
    ...(status !== undefined && { status }),
    ...(answer !== undefined && { answer: cutText(answer) }),
    at,
  };
}
