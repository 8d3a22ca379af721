import { LANES, type PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import type { Writer } from '../../core/writer.ts';
import { shownError, type FeedRow, type ShownError } from './feed-row.ts';

/** `retrying`: delivering, and the last attempt of a lane failed. The others: see feed-row.ts. */
export type FeedState = 'delivering' | 'retrying' | 'refused' | 'suspended' | 'paused';

/** A feed as people see it. */
export interface FeedStatus {
  readonly name: string;
  readonly state: FeedState;
  readonly dead: number;
  /** What the dead letters take. */
  readonly deadBytes: number;
  /** Refused for want of room for another dead letter: it goes on as soon as there is some. */
  readonly isFull?: true;
  /** Of a paused one, RFC 3339. */
  readonly pausedSince?: string;
  /** When it was resumed, as long as nothing was delivered since; RFC 3339. */
  readonly resumedAt?: string;
  readonly lanes: PerLane<LaneStatus>;
  readonly lastError?: ShownError;
  /** What a person should know of the destination although it takes everything; absent where there is nothing. */
  readonly warnings?: readonly string[];
}

const WARNINGS_MAX = 10;
const WARNING_CHARS_MAX = 500;

/** One lane of a feed as people see it. */
export interface LaneStatus {
  /** Entries that are not settled. */
  readonly pending: number;
  /** Since the oldest of them was received. */
  readonly oldestAgeMs: number;
  /** Failed attempts in a row, and when the next one is due. */
  readonly attempts: number;
  readonly nextAttemptInMs: number;
  /** How long the destination still asks not to be tried (`Retry-After`, at most a day); absent where it does not. */
  readonly askedInMs?: number;
  /** The delivery series and its last settled seq. */
  readonly series: string;
  readonly seq: number;
}

/** What a feed's row and its lanes say. */
export function feedStatus(name: string, row: FeedRow, lanes: PerLane<LaneStatus>, writer: Writer): FeedStatus {
  const isRetrying = LANES.some((lane) => row.lanes[lane].attempts > 0);
  const { state, paused, resumedAt } = row;
  const warnings = warningsOf(writer);
  return {
    name,
    state: state === 'delivering' && isRetrying ? 'retrying' : state,
    dead: LANES.reduce((sum, lane) => sum + row.lanes[lane].dead, 0),
    deadBytes: LANES.reduce((sum, lane) => sum + row.lanes[lane].deadBytes, 0),
    ...(row.isFull && { isFull: true }),
    ...(paused && { pausedSince: formatMs(paused.since) }),
    ...(resumedAt !== undefined && { resumedAt: formatMs(resumedAt) }),
    lanes,
    ...(row.lastError && { lastError: shownError(row.lastError) }),
    ...(warnings.length > 0 && { warnings }),
  };
}

/** Writers may be anybody's: what one says is made sentences of some length, and a mistake in it is no warning. */
function warningsOf(writer: Writer): readonly string[] {
  try {
    const given: unknown = writer.warnings?.();
    const texts = Array.isArray(given) ? given.filter((text) => typeof text === 'string' && text !== '') : [];
    return texts.slice(0, WARNINGS_MAX).map((text: string) => text.slice(0, WARNING_CHARS_MAX));
  } catch {
    return [];
  }
}
