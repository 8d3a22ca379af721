/**
 * `fondaco/dispatcher`: durable events to many destinations, without a proxy. It knows no concrete journal: open one with
 * `fondaco/journal` and hand it over.
 */
export type { RetryPolicy } from '../core/backoff.ts';
export type { Batch, BatchReply, Rejection } from '../core/batch.ts';
export type { Clock } from '../core/clock.ts';
export { FondacoError, isFondacoError, type ErrorCode, type ErrorFacts } from '../core/errors.ts';
export type { EventDetails } from '../core/event-input.ts';
export type { EventObject, FondacoEvent, JsonObject } from '../core/event.ts';
export type { Journal } from '../core/journal.ts';
export type { Lane, PerLane } from '../core/lane.ts';
export type { Severity } from '../core/severity.ts';
export type { Delivery, DeliveryNumber, Writer } from '../core/writer.ts';
export type { BacklogStatus, Budget } from './limits/backlog.ts';
export type { DeadLetter, LetterPlace, StoredLetter } from './dead-letters/dead-letters.ts';
export type { DedupOptions } from './acceptance/dedup.ts';
export { Dispatch, type DispatchOptions, type DispatchStatus, type WriterChange } from './dispatch.ts';
export type { BacklogLimits } from './feed/feed-settings.ts';
export type { FeedState, FeedStatus, LaneStatus } from './feed/feed-status.ts';
export type { FeedError } from './feed/feed-row.ts';
export type { AttributeTest, Filter, FilterFields, Globs } from './feed/filter.ts';
export type { LaneLedger, Ledger, WriterLedger } from './ledger/ledger.ts';
export type { Purged } from './dead-letters/purge.ts';
export type { Started } from './dead-letters/replay.ts';
export { DEFAULTS, type WriterSettings } from './writer-settings.ts';
