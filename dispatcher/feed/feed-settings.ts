import type { RetryPolicy } from '../../core/backoff.ts';
import type { Writer } from '../../core/writer.ts';
import type { DeadLetterLimits } from '../dead-letters/dead-letters.ts';
import type { Filter } from './filter.ts';

/** What a writer may have pending. */
export interface BacklogLimits {
  /** Bytes of entries, to the blob. */
  readonly bytesMax: number;
  /** What is older is given up; Infinity for no limit. */
  readonly ageMaxMs: number;
  /** Beyond `bytesMax`: give up the oldest, normal lane before urgent; or have nothing taken in, from anybody. */
  readonly whenFull: 'drop-oldest' | 'refuse';
}

/** All that a feed is told about its writer. At a limit of its dead letters it pauses as refused until there is room. */
export interface FeedSettings extends DeadLetterLimits {
  /** The destination's identity: another name is another destination. */
  readonly name: string;
  readonly writer: Writer;
  readonly filter: Filter;
  /** A normal batch waits for `intervalMs`, unless `eventsMax` or `bytesMax` is reached before; an urgent one never waits. */
  readonly batch: { readonly intervalMs: number; readonly eventsMax: number; readonly bytesMax: number };
  readonly retry: RetryPolicy;
  readonly backlog: BacklogLimits;
  /** False: loss notices pass the filter like any other event. */
  readonly notices: boolean;
  /** Heartbeats of proxies come, past the filter; otherwise they do where the filter names their type. */
  readonly heartbeats?: boolean;
  /** A write that takes longer is aborted, and counts as UNAVAILABLE. */
  readonly writeTimeoutMs: number;
}
