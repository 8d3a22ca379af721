/**
 * The loop of one lane of a feed: wait → read and cut → take turns → write → settle, or what the destination's answer asks for (the table
 * of faults in ARCHITECTURE.md). Everything that moves is in the feed's row and moves in a commit; what is here can be thrown away.
 */
import { isExhausted, retryWaitMs, type RetryPolicy } from '../core/backoff.ts';
import { Bell } from '../core/bell.ts';
import { restOfWait, type Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { DecodedEvent } from '../core/event-codec.ts';
import type { Draft, Entry } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { uuidV7 } from '../core/uuid.ts';
import { BatchSize } from './batch-size.ts';
import { deadLetterKey, deadLetterOf } from './dead-letters.ts';
import { errorOf, type FeedLane, type FeedRow } from './feed-row.ts';
import { FORWARD_MS, type Feed, type LaneStatus, type Turn } from './feed.ts';
import { compileFilter } from './filter.ts';
import { LaneReader, type Step } from './lane-reader.ts';
import { isNotice, OWN_TYPES } from './own-events.ts';

type WriteStep = Extract<Step, { kind: 'write' }>;

/** A wrong setting must not turn a backlog into dead letters: with so many lone rejections in a row, without a success, the feed pauses. */
const LONE_REJECTIONS_MAX = 10;
/** A write in flight when the feed is stopped may take so long to end. */
const GRACE_MS = 5000;
const PROBE: RetryPolicy = { policy: 'backoff', initialMs: 1000, maxMs: 300_000 };

export class LaneFeed {
  readonly bell = new Bell();
  /** idle: nothing to do. waiting: for a retry, a resumption, or a batch to fill. */
  phase: 'idle' | 'waiting' | 'preparing' | 'ready' | 'writing' = 'idle';
  phaseSince = 0;
  readonly #feed: Feed;
  readonly #lane: Lane;
  readonly #clock: Clock;
  readonly #reader: LaneReader;
  readonly #size: BatchSize;
  readonly #wantsNow: (event: DecodedEvent) => boolean;
  /** On the monotonic clock: when the next attempt is due after a failure, and before when none may be made. */
  #dueAt = 0;
  #notBefore = 0;
  #lastAttemptAt = -Infinity;
  #lastFailure: FondacoError | undefined;
  /** Since when a batch is waited for to fill. */
  #fillsSince: number | undefined;
  #headAtCut = 0;
  /** The urgent lane's head at the last attempt: what came since may bring the next one forward. */
  #seenHead: number | undefined;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
    this.#clock = feed.clock;
    this.#reader = new LaneReader(feed.dispatcher.journal, feed.settings.name, lane);
    this.#size = new BatchSize(feed.settings.batch.eventsMax);
    this.#wantsNow = compileFilter(feed.settings.filter);
  }

  /** The row was loaded: a wait that it holds goes on. */
  reload(): void {
    const { waitMs, waitSince, attempts, askedMs = 0 } = this.#row;
    this.#reader.clear();
    this.#size.found();
    this.#seenHead ??= this.#head;
    const now = this.#clock.monotonic();
    this.#dueAt = this.#notBefore = now;
    if (attempts === 0) return;
    const wall = this.#clock.now();
    const restMs = restOfWait(waitMs, waitSince, wall);
    this.#dueAt = now + restMs;
    this.#notBefore = now + restOfWait(askedMs, waitSince, wall);
    this.#lastAttemptAt = now - (waitMs - restMs);
  }

  get hasWork(): boolean {
    return this.#feed.row.state !== 'suspended' && this.#head > this.#row.cursor;
  }

  get isFailing(): boolean {
    return this.#row.attempts > 0;
  }

  /** Tries now instead of at the end of a back-off; the count of attempts goes on. Never before what the destination asked for. */
  forward(): void {
    this.#dueAt = Math.min(this.#dueAt, this.#notBefore);
    this.bell.ring();
  }

  /** When an attempt may be brought forward: at most one a second, never before `Retry-After`. */
  forwardInMs(): number {
    return Math.max(this.#lastAttemptAt + FORWARD_MS, this.#notBefore) - this.#clock.monotonic();
  }

  status(): LaneStatus {
    const { cursor, attempts, series, seq } = this.#row;
    const receivedAt = this.#reader.oldestReceivedAt;
    return {
      pending: this.#head - cursor,
      oldestAgeMs: this.#head > cursor && receivedAt !== undefined ? Math.max(0, this.#clock.now() - receivedAt) : 0,
      attempts,
      nextAttemptInMs: attempts > 0 ? Math.max(0, Math.round(this.#dueAt - this.#clock.monotonic())) : 0,
      series,
      seq,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#enter(waitMs === Infinity && !this.isFailing ? 'idle' : 'waiting');
        await this.bell.wait(this.#clock, waitMs);
        continue;
      }
      this.#enter('preparing');
      const step = await this.#next(signal);
      if (!step) continue;
      if (step.kind !== 'write') await this.#pass(step, signal);
      else await this.#write(step, signal);
    }
    this.#enter('idle');
  }

  get #row(): FeedLane {
    return this.#feed.row.lanes[this.#lane];
  }

  get #head(): number {
    return this.#feed.dispatcher.journal.head(this.#lane);
  }

  #enter(phase: LaneFeed['phase']): void {
    this.phase = phase;
    this.phaseSince = this.#clock.monotonic();
  }

  /** Until there is something to do; 0 for now. */
  #waitMs(): number {
    const { state } = this.#feed.row;
    const { cursor, attempts } = this.#row;
    const head = this.#head;
    const now = this.#clock.monotonic();
    if (state === 'suspended' || head <= cursor) return Infinity;
    if (attempts > 0) {
      const hasArrived = this.#lane === 'urgent' && head > this.#seenHead!;
      const dueAt = hasArrived ? Math.min(this.#dueAt, now + this.forwardInMs()) : this.#dueAt;
      return Math.max(0, dueAt - now);
    }
    const { intervalMs, eventsMax } = this.#feed.settings.batch;
    if (this.#lane === 'urgent' || this.#size.isSearching || head - cursor >= Math.min(eventsMax, this.#size.next)) return 0;
    this.#fillsSince ??= now;
    return Math.max(0, this.#fillsSince + intervalMs - now);
  }

  async #next(signal: AbortSignal): Promise<Step | undefined> {
    const { row, settings } = this.#feed;
    const eventsMax = row.state === 'refused' ? 1 : this.#size.next;
    const before = this.#row.before;
    const wantsBy = before ? compileFilter(before.filter) : this.#wantsNow;
    const wants = (event: DecodedEvent, entry: Entry): boolean => (isNotice(event, entry) && settings.notices) || wantsBy(event);
    const limits = { eventsMax: before ? Math.min(eventsMax, before.deliveries) : eventsMax, bytesMax: settings.batch.bytesMax };
    this.#headAtCut = this.#head;
    try {
      return await this.#reader.next(this.#row, wants, limits);
    } catch (error) {
      if (!isFondacoError(error)) throw error;
      await this.#clock.sleep(100, signal); // the journal is being reopened
      return undefined;
    }
  }

  /** Moves over what is not sent. */
  async #pass(step: Exclude<Step, WriteStep>, signal: AbortSignal): Promise<void> {
    this.#fillsSince = undefined;
    await this.#settle(step, signal, (lane, draft) => {
      if (step.kind === 'pass') {
        lane.cursor = step.to;
        lane.folded += step.passed.folded;
        lane.filtered += step.passed.filtered;
        return;
      }
      const ended = lane.series;
      lane.series = uuidV7(this.#clock.now());
      lane.seq = 0;
      if (step.epoch !== lane.epoch) delete lane.before; // a batch never spans epochs: nothing from here on can have been in flight
      lane.epoch = step.epoch;
      if (step.kind === 'rotate') return;
      lane.cursor = step.to;
      lane.dropped += step.to - step.from;
      const id = `${this.#feed.settings.name}/${this.#lane}`;
      this.#feed.dispatcher.lose(draft, { kind: 'writer', id, series: [ended, lane.series] }, 'corrupt', [step.from, step.to - 1]);
    });
  }

  async #write(step: WriteStep, signal: AbortSignal): Promise<void> {
    const turn: Turn = { hasAsked: false };
    const { state } = this.#feed.row;
    this.#enter('ready');
    for (let holdMs = this.#feed.holdMs(this.#lane, turn); holdMs > 0; holdMs = this.#feed.holdMs(this.#lane, turn)) {
      await this.bell.wait(this.#clock, holdMs);
      if (signal.aborted) return;
    }
    if (signal.aborted || this.#feed.row.state !== state) return; // the other lane learned meanwhile that this is not to be sent
    this.#enter('writing');
    this.#feed.began(this.#lane);
    this.#seenHead = this.#head;
    const failure = this.#sharedFailure(turn) ?? (await this.#attempt(step, signal));
    this.#lastAttemptAt = this.#clock.monotonic();
    this.#lastFailure = failure;
    if (step.to >= this.#headAtCut) this.#fillsSince = undefined; // what a limit cut off has waited already
    if (!failure) await this.#delivered(step, signal);
    else if (!signal.aborted) await this.#failed(step, failure, signal);
    this.#enter(this.isFailing ? 'waiting' : this.hasWork ? 'preparing' : 'idle');
    this.#feed.ring();
  }

  /** A destination that the urgent lane, asked first, could not even reach is not asked again by this one. */
  #sharedFailure(turn: Turn): FondacoError | undefined {
    const failure = turn.hasAsked ? this.#feed.lanes.urgent.#lastFailure : undefined;
    return failure?.facts.unreachable ? failure : undefined;
  }

  async #attempt(step: WriteStep, signal: AbortSignal): Promise<FondacoError | undefined> {
    const over = new AbortController();
    const abort = new AbortController();
    const { writer, writeTimeoutMs } = this.#feed.settings;
    const watch = async (ms: number, reason: string): Promise<void> => {
      await this.#clock.sleep(ms, over.signal);
      if (!over.signal.aborted) abort.abort(new FondacoError('UNAVAILABLE', reason));
    };
    const stop = (): void => void watch(GRACE_MS, 'the feed is being stopped');
    signal.addEventListener('abort', stop, { once: true });
    void watch(writeTimeoutMs, `the destination must answer within ${writeTimeoutMs} ms, got nothing`);
    try {
      await writer.write(step.deliveries, abort.signal);
      return undefined;
    } catch (error) {
      if (abort.signal.aborted) return abort.signal.reason as FondacoError;
      return isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', asError(error).message, { cause: error });
    } finally {
      over.abort();
      signal.removeEventListener('abort', stop);
    }
  }

  async #delivered(step: WriteStep, signal: AbortSignal): Promise<void> {
    const wasFailing = this.isFailing;
    await this.#settle(step, signal, (lane, draft, row) => {
      this.#passOver(lane, step);
      lane.delivered += step.deliveries.length;
      lane.attempts = lane.waitMs = 0;
      row.loneRejections = 0;
      if (row.state !== 'refused') return;
      row.state = 'delivering';
      this.#report(draft, 'writerResumed', `writer ${this.#feed.settings.name} delivers again`);
    });
    this.#size.delivered(step.deliveries.length);
    this.#feed.wentThrough(this.#lane, wasFailing);
  }

  async #failed(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    if (failure.code === 'REJECTED') await this.#rejected(step, failure, signal);
    else if (failure.code === 'REFUSED' || failure.code === 'CONFIG') await this.#refuse(step, failure, signal);
    else await this.#unavailable(step, failure, signal);
  }

  /** The destination's fault, passing: everything is kept, and tried again by the policy. */
  async #unavailable(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { retry, deadLettersMax } = this.#feed.settings;
    const isLast = isExhausted(retry, this.#row.attempts + 1) && retry.policy === 'dead-letter';
    if (isLast && this.#dead + step.deliveries.length > deadLettersMax) {
      await this.#refuse(step, failure, signal);
      return;
    }
    await this.#settle(step, signal, (lane, draft, row) => {
      if (isExhausted(retry, lane.attempts + 1) && row.state === 'delivering') {
        if (retry.policy === 'dead-letter') {
          this.#setAside(draft, step, failure);
          return;
        }
        row.state = 'suspended';
        this.#report(
          draft,
          'writerSuspended',
          `writer ${this.#feed.settings.name} is suspended after ${lane.attempts + 1} attempts: resume it`,
          failure,
        );
      }
      this.#wait(retry, failure);
    });
  }

  /** The event's fault, if it is alone in its batch; else the one at fault is looked for. */
  async #rejected(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const events = step.deliveries.length;
    if (events > 1) {
      if (failure.facts.tooLarge) this.#size.tooLarge(events);
      else this.#size.rejected(events);
      return;
    }
    const { row, settings } = this.#feed;
    if (row.state === 'refused' || row.loneRejections + 1 >= LONE_REJECTIONS_MAX || this.#dead >= settings.deadLettersMax) {
      await this.#refuse(step, failure, signal);
      return;
    }
    await this.#settle(step, signal, (_lane, draft, current) => {
      current.loneRejections++;
      this.#setAside(draft, step, failure);
    });
    this.#size.found();
  }

  /** Dead letters of this writer. */
  get #dead(): number {
    const { urgent, normal } = this.#feed.row.lanes;
    return urgent.dead + normal.dead;
  }

  /** The destination will not have us, or nothing of what we send: everything is kept, a lone event probes. */
  async #refuse(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { name, retry } = this.#feed.settings;
    await this.#settle(step, signal, (_lane, draft, row) => {
      if (row.state !== 'refused') {
        row.state = 'refused';
        this.#report(draft, 'writerRefused', `writer ${name} is refused by its destination: ${failure.text}`, failure);
      }
      this.#wait(retry.policy === 'backoff' ? retry : PROBE, failure);
    });
    this.#size.found();
  }

  /** Counts a failed attempt and sets the next one; inside a settling. */
  #wait(policy: RetryPolicy, failure: FondacoError): void {
    const lane = this.#row;
    lane.attempts++;
    const askedMs = failure.facts.retryAfterMs ?? 0;
    lane.waitMs = Math.max(retryWaitMs(policy, lane.attempts, this.#feed.dispatcher.random), askedMs);
    lane.waitSince = this.#clock.now();
    lane.askedMs = askedMs;
    const now = this.#clock.monotonic();
    this.#dueAt = now + lane.waitMs;
    this.#notBefore = askedMs > 0 ? now + askedMs : 0;
    this.#feed.row.lastError = errorOf(failure, this.#clock.now());
  }

  /** Makes dead letters of the step's deliveries and passes over them; inside a settling. */
  #setAside(draft: Draft, step: WriteStep, failure: FondacoError): void {
    const lane = this.#row;
    const error = errorOf(failure, this.#clock.now());
    const attempts = lane.attempts + 1;
    for (const delivery of step.deliveries) {
      const key = deadLetterKey(this.#feed.settings.name, this.#lane, delivery.entry.position);
      draft.put(key, () => deadLetterOf(delivery, error, attempts));
    }
    this.#passOver(lane, step);
    lane.dead += step.deliveries.length;
    lane.attempts = lane.waitMs = 0;
    this.#feed.row.lastError = error;
  }

  #passOver(lane: FeedLane, step: WriteStep): void {
    lane.cursor = step.to;
    lane.folded += step.passed.folded;
    lane.filtered += step.passed.filtered;
    lane.seq += step.deliveries.length;
    if (!lane.before) return;
    lane.before.deliveries -= step.deliveries.length;
    if (lane.before.deliveries > 0) return;
    delete lane.before; // from here on by the new filter, under a new delivery series
    lane.series = uuidV7(this.#clock.now());
    lane.seq = 0;
  }

  /** Commits a change of the lane, unless it was moved meanwhile (the journal was reopened and the row loaded again). */
  async #settle(step: Step, signal: AbortSignal, change: (lane: FeedLane, draft: Draft, row: FeedRow) => void): Promise<void> {
    const { series } = this.#row;
    try {
      await this.#feed.change((draft) => {
        const lane = this.#row;
        if (lane.cursor !== step.from || lane.series !== series) return false;
        change(lane, draft, this.#feed.row);
        this.#feed.put(draft);
        return true;
      }, signal);
    } catch (error) {
      if (!isFondacoError(error) || !signal.aborted) throw error; // stopping: what is not settled comes again
    }
  }

  #report(draft: Draft, type: keyof typeof OWN_TYPES, message: string, failure?: FondacoError): void {
    const { status, answer } = failure?.facts ?? {};
    const attributes = {
      writer: this.#feed.settings.name,
      ...(status !== undefined && { status }),
      ...(answer !== undefined && { answer }),
    };
    this.#feed.dispatcher.record(draft, 'normal', { type: OWN_TYPES[type], severity: failure ? 'error' : 'info', message, attributes });
  }
}
