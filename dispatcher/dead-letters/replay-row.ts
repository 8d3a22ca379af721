/** The row `replay:<writer>`: a writer's replay under way, or how the last one ended. The letters chosen by id are in `replay:<writer>/ids`. */
import { perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import { uuidV7 } from '../../core/uuid.ts';
import { type FeedError, type RetryState, shownError, type ShownError } from '../feed/feed-row.ts';

export const REPLAY_PREFIX = 'replay:';

export interface ReplayRow extends RetryState {
  /** UUID; also the delivery series of its normal lane. */
  readonly id: string;
  state: 'running' | 'done' | 'stopped';
  /** Wall clock, ms. */
  readonly startedAt: number;
  endedAt?: number;
  /** Letters that it is about; of them, how many were taken and how many were refused again. */
  readonly total: number;
  delivered: number;
  deadAgain: number;
  /** Its letters were chosen by id; otherwise they are all that there were. */
  readonly isChosen: boolean;
  readonly lanes: PerLane<ReplayLane>;
  lastError?: FeedError;
}

export interface ReplayLane {
  /** A delivery series of its own, and the seq of the last letter that is settled. */
  readonly series: string;
  seq: number;
  /** Numbers of it that stayed dead letters. */
  setAside?: [first: number, last: number][];
  /** Its letters lie below `end`; those below `next` are settled. */
  next: number;
  readonly end: number;
}

/** Positions in order. */
export type ChosenRow = PerLane<number[]>;

/** A replay as people see it. */
export interface ReplayStatus {
  readonly writer: string;
  /** Names the replay: the delivery series of its normal lane. */
  readonly series: string;
  /** The delivery series of each lane, and the seq of its last settled letter. */
  readonly lanes: PerLane<{ readonly series: string; readonly seq: number }>;
  /** `waiting`: for the next attempt, or for the writer to be resumed. `stopped`: by a person or by a refusal, see `lastError`. */
  readonly state: 'running' | 'waiting' | 'done' | 'stopped';
  readonly total: number;
  readonly delivered: number;
  readonly deadAgain: number;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly endedAt?: string;
  /** Failed attempts in a row. */
  readonly attempts: number;
  readonly lastError?: ShownError;
}

export function newReplayRow(
  id: string,
  { ends, total, isChosen, now }: { ends: PerLane<number>; total: number; isChosen: boolean; now: number },
): ReplayRow {
  const lane = (name: Lane): ReplayLane => ({ series: name === 'normal' ? id : uuidV7(now), seq: 0, next: 0, end: ends[name] });
  const counts = { total, delivered: 0, deadAgain: 0 };
  const retry = { attempts: 0, waitMs: 0, waitSince: 0 };
  return { id, state: 'running', startedAt: now, ...counts, isChosen, lanes: perLane(lane), ...retry };
}

export function replayStatus(writer: string, row: ReplayRow, isWaiting: boolean): ReplayStatus {
  const { id, lanes, state, total, delivered, deadAgain, startedAt, endedAt, attempts, lastError } = row;
  return {
    writer,
    series: id,
    lanes: perLane((lane) => ({ series: lanes[lane].series, seq: lanes[lane].seq })),
    state: state === 'running' && isWaiting ? 'waiting' : state,
    total,
    delivered,
    deadAgain,
    startedAt: formatMs(startedAt),
    ...(endedAt !== undefined && { endedAt: formatMs(endedAt) }),
    attempts,
    ...(lastError && { lastError: shownError(lastError) }),
  };
}
