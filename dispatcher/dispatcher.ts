/**
 * Acceptance: what becomes of a batch, decided and committed in one operation of the journal: entries, series rows, rejections, dedup
 * windows, the ledger and losses, all or none. The rules of a batch are told in proto/fondaco/v1/service.proto.
 *
 * What is in memory here runs ahead of the disk by the commits in flight. When the journal had to be reopened, all of it is loaded again.
 */
import type { Batch, BatchReply, LostRange } from '../core/batch.ts';
import { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import { completeEvent, typeOf } from '../core/complete-event.ts';
import { EventWalk } from '../core/event-walk.ts';
import type { Draft, Entry, Journal, NewEntry } from '../core/journal.ts';
import { LANES, type Lane } from '../core/lane.ts';
import { SEVERITY_NUMBER, type Severity } from '../core/severity.ts';
import type { TypeRules } from '../core/type-rules.ts';
import { uuidText } from '../core/uuid.ts';
import { batchReply } from './batch-reply.ts';
import { LEDGER_ROW, zeroCounts, type Counts } from './counts.ts';
import { FEED_PREFIX } from './feed-row.ts';
import { mend, mendedEvent, type Mended } from './mend.ts';
import { Dedup, WINDOW_PREFIX, type DedupOptions } from './dedup.ts';
import { LOSS_PREFIX, Losses, type LossOrigin } from './losses.ts';
import { OWN_TYPES, OwnSeries, type OwnEvent } from './own-events.ts';
import { refusedBytes, RejectedEvents } from './rejected-events.ts';
import { SeriesRows, type Series } from './series-rows.ts';

export interface DispatcherOptions {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly dedup: DedupOptions;
  /** The lowest severity that goes to the urgent lane. */
  readonly urgent: Severity;
  /** The node that the proxy's own events name as their source. */
  readonly node: string;
  /** What catalogs say of event types; without them every type is taken as it comes. */
  readonly types?: TypeRules | undefined;
  /** Rows of series kept at most; 1,000,000. */
  readonly seriesMax?: number;
}

/** At most one commit of loss notices in this time. */
const NOTICE_MS = 1000;
/** At most one commit of summaries in this time. */
const TICK_MS = 50;
/** Bytes accepted and not durable yet; beyond it senders are throttled. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
const THROTTLE_MS = 100;
/** When to ask again where there is no room. */
const FULL_MS = 1000;
/** Of one series, not yet seen by its sender; beyond it the series is throttled until they are. */
const REJECTIONS_MAX = 50_000;

export class Dispatcher {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: () => number;
  /** Events that were rejected, as far as they are kept. */
  readonly rejected: RejectedEvents;
  readonly #options: DispatcherOptions;
  readonly #urgentFrom: number;
  readonly #series: SeriesRows;
  readonly #losses = new Losses();
  readonly #walk = new EventWalk();
  readonly #bell = new Bell();
  #counts: Counts = zeroCounts();
  #own!: OwnSeries;
  #dedup!: Dedup;
  #pendingBytes = 0;
  /** Bytes of entries that the journal may hold, and who is to hear when that is too little. */
  #bytesMax = Infinity;
  #high = Infinity;
  #onFull: () => void = () => undefined;
  #refusal: string | undefined;
  /** When `run` looks again, on the monotonic clock. */
  #wakeAt = Infinity;
  /** What a damaged store needs, not yet in a commit. */
  #mended: (Mended & { readonly what: readonly string[] }) | undefined;
  #told: readonly string[] = [];
  /** Stored windows that cannot be reported any more. */
  #gone: { key: string; held: number }[] = [];

  private constructor(journal: Journal, options: DispatcherOptions) {
    this.journal = journal;
    this.clock = options.clock;
    this.random = options.random;
    this.#options = options;
    this.#urgentFrom = SEVERITY_NUMBER[options.urgent];
    this.#series = new SeriesRows(journal, options.seriesMax);
    this.rejected = new RejectedEvents(journal, options.clock);
  }

  /** Takes up what the journal holds. */
  static async open(journal: Journal, options: DispatcherOptions): Promise<Dispatcher> {
    const dispatcher = new Dispatcher(journal, options);
    await dispatcher.#load();
    await dispatcher.#mend();
    journal.onReopen(() => dispatcher.#load());
    return dispatcher;
  }

  /**
   * Takes a batch over. Resolves when what the reply says is durable. A batch is answered, not rejected, for what is wrong with its series
   * (`expected`) or its events (`rejections`). Rejects UNAVAILABLE while the journal is being reopened, FULL without room.
   */
  async accept(batch: Batch): Promise<BatchReply> {
    const id = uuidText(batch.series);
    const found = this.#series.find(id);
    const series = found instanceof Promise ? await found : found;
    const { rejections } = series;
    const isDeaf = rejections.length > REJECTIONS_MAX && batch.settled < rejections[0]!.seq;
    if (this.refusal !== undefined) this.#onFull();
    const throttleMs = this.refusal !== undefined ? FULL_MS : this.#pendingBytes > PENDING_BYTES_MAX || isDeaf ? THROTTLE_MS : 0;
    if (throttleMs > 0) return this.journal.commit(() => ({ ...this.#reply(batch, series), throttleMs }));
    let bytes = 0;
    for (const event of batch.events) bytes += event.length;
    this.#pendingBytes += bytes;
    series.pending++;
    try {
      const reply = await this.journal.commit((draft) => this.#take(draft, series, batch));
      if (batch.isClosing) this.#series.closed(id);
      return reply;
    } finally {
      series.pending--;
      this.#pendingBytes -= bytes;
      this.#series.trimCache();
      if (this.#bytes > this.#high) this.#onFull();
      if (this.#series.isOver(this.#counts)) this.#bell.ring();
    }
  }

  /** Takes nothing in beyond `bytesMax` of entries in the journal; `onFull` is called when that keeps something out, and from `high` on. */
  limit({ bytesMax, high }: { bytesMax: number; high: number }, onFull: () => void): void {
    this.#bytesMax = bytesMax;
    this.#high = high;
    this.#onFull = onFull;
  }

  /** Takes nothing in, for a reason that people are shown, until it is called without one. */
  refuse(reason: string | undefined): void {
    this.#refusal = reason;
  }

  /** Why nothing is taken in at the moment. */
  get refusal(): string | undefined {
    if (this.journal.isLow) return 'the disk is full';
    return this.#bytes > this.#bytesMax ? (this.#refusal ?? 'the budget of the journal is spent') : this.#refusal;
  }

  get #bytes(): number {
    return this.journal.bytes('urgent') + this.journal.bytes('normal') + this.#pendingBytes;
  }

  /** The lowest position that an open window still needs. */
  oldestWindow(lane: Lane): number {
    return this.#dedup.oldestNeeded(lane);
  }

  /** Closes windows early whose first lies below `position`, so that it may be trimmed. */
  async closeWindowsBelow(lane: Lane, position: number): Promise<void> {
    if (this.#dedup.oldestNeeded(lane) >= position) return;
    await this.journal.commit((draft) => {
      this.#dedup.closeBelow(draft, lane, position);
      this.#putCounts(draft);
    });
  }

  /** Ends windows, announces losses and keeps rows within their limit, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const ring = (): void => this.#bell.ring();
    signal.addEventListener('abort', ring, { once: true });
    let noticesFrom = -Infinity;
    while (!signal.aborted) {
      const now = this.clock.monotonic();
      const noticesDue = this.#losses.isEmpty ? Infinity : noticesFrom;
      const isBehind = this.#gone.length > 0 || this.#mended !== undefined || this.#series.isOver(this.#counts);
      this.#wakeAt = isBehind ? now : Math.min(noticesDue, this.#dedup.nextDue());
      if (this.#wakeAt > now) {
        await this.#bell.wait(this.clock, this.#wakeAt - now);
        continue;
      }
      try {
        await this.#mend();
        await this.#reportGone();
        await this.journal.commit((draft) => {
          const before = this.#counts.added;
          this.#dedup.closeDue(draft, now);
          if (this.#counts.added !== before) this.#putCounts(draft);
          if (noticesDue <= now) this.#announce(draft);
        });
        if (noticesDue <= now) noticesFrom = now + NOTICE_MS;
        await this.#series.evict(this.#counts, (draft) => this.#putCounts(draft));
      } catch (error) {
        if (!isFondacoError(error)) throw error; // a bug; what the journal could not take is still in its rows
      }
      await this.clock.sleep(TICK_MS, signal); // windows end one by one; their summaries share commits
    }
  }

  /** Adds a loss to the commit; it will be announced. */
  lose(draft: Draft, origin: LossOrigin, cause: LostRange['cause'], range: readonly [number, number]): void {
    this.#losses.add(draft, origin, { cause, range, now: this.clock.now() });
    this.#bell.ring();
  }

  /** Counts loss notices that a writer will not get. They are not announced: that would be one more, for ever. */
  loseNotices(draft: Draft, count: number): void {
    this.#counts.noticesLost += count;
    this.#putCounts(draft);
  }

  /** Adds one of the proxy's own events to the commit. */
  record(draft: Draft, lane: Lane, event: OwnEvent): void {
    this.#own.record(draft, lane, event, this.clock.now());
    this.#counts.made[lane]++;
    this.#putCounts(draft);
  }

  /** Entries accepted and made so far, as of the commit being built. */
  get counts(): Readonly<Counts> {
    return this.#counts;
  }

  status(): { windows: { open: number; folded: number; closedEarly: number }; series: number } {
    return { windows: { ...this.#dedup.size, closedEarly: this.#counts.closedEarly }, series: this.#counts.series };
  }

  async #load(): Promise<void> {
    const { journal, clock, random } = this;
    const all = await journal.snapshot([LEDGER_ROW, WINDOW_PREFIX, LOSS_PREFIX, FEED_PREFIX]);
    const mended = mend(all, { urgent: journal.head('urgent'), normal: journal.head('normal') });
    this.#told = [...journal.salvaged, ...mended.problems];
    this.#mended = this.#told.length > 0 ? { ...mended, what: this.#told } : undefined;
    const rows = all.filter(({ key }) => !mended.deletions.includes(key));
    this.#counts = mended.counts;
    this.#series.clear();
    if (this.#mended) this.#counts.series = await this.#series.count();
    await this.rejected.load();
    this.#losses.load(rows, mended.counts);
    this.#own = new OwnSeries(this.#options.node, clock.now());
    this.#dedup = new Dedup({ options: this.#options.dedup, clock, counts: this.#counts, own: this.#own, random });
    this.#gone = await this.#dedup.load(rows, (lane, position) => this.#readOne(lane, position));
    this.#bell.ring();
  }

  async #readOne(lane: Lane, position: number): Promise<Entry | undefined> {
    const { entries } = await this.journal.read(lane, position, 1);
    return entries[0]?.position === position ? entries[0] : undefined;
  }

  /** Writes down how the books were put right, and tells it. */
  async #mend(): Promise<void> {
    const mended = this.#mended;
    if (!mended) return;
    this.#mended = undefined;
    await this.journal.commit((draft) => {
      for (const lane of LANES) draft.skip(lane, mended.heads[lane]);
      for (const key of mended.deletions) draft.delete(key);
      if (mended.unreported > 0) this.lose(draft, { kind: 'window', id: 'of a damaged store' }, 'corrupt', [1, mended.unreported]);
      this.reportMended(draft, mended.what);
    });
  }

  /** Tells what was damaged and put right. */
  reportMended(draft: Draft, what: readonly string[]): void {
    this.record(draft, 'urgent', mendedEvent(what));
  }

  /** What was damaged at the last opening, and was put right. */
  get mended(): readonly string[] {
    return this.#told;
  }

  /** True if the writer has had a row. */
  knows(writer: string): boolean {
    return this.#counts.writers.includes(writer);
  }

  /** Notes in the commit that the writer has a row. */
  know(draft: Draft, writer: string): void {
    if (this.knows(writer)) return;
    this.#counts.writers.push(writer);
    this.#putCounts(draft);
  }

  /** Windows whose first occurrence is damaged cannot be reported: their count is announced as a loss. */
  async #reportGone(): Promise<void> {
    if (this.#gone.length === 0) return;
    const gone = this.#gone.splice(0);
    await this.journal.commit((draft) => {
      for (const { key, held } of gone) {
        draft.delete(key);
        this.#counts.unreported += held;
        if (held > 0) this.lose(draft, { kind: 'window', id: key.slice(WINDOW_PREFIX.length) }, 'corrupt', [1, held]);
      }
      this.#putCounts(draft);
    });
  }

  #take(draft: Draft, series: Series, batch: Batch): BatchReply {
    const closedAt = this.#series.closedAt(series.id);
    if (closedAt !== undefined) return { ...this.#reply(batch, series), settled: closedAt };
    if (!this.#series.holds(series)) throw new FondacoError('UNAVAILABLE', 'the journal was reopened, send again', { retryAfterMs: 100 });
    if (series.last < batch.after) {
      if (!batch.isGone) return { ...this.#reply(batch, series), expected: series.last + 1 };
      this.#passOver(draft, series, batch);
    }
    this.#series.acknowledge(draft, series, batch.settled);
    const before = series.last;
    this.#store(draft, series, batch);
    const reply = this.#reply(batch, series);
    if (batch.isClosing) this.#series.close(draft, series, this.#counts);
    else if (series.last > before || batch.isGone) this.#series.put(draft, series, this.#counts);
    this.#putCounts(draft);
    if (this.#dedup.nextDue() < this.#wakeAt) this.#bell.ring();
    return reply;
  }

  /** What lies between what is known and `after` will not come. If this journal had settled it, this journal lost it. */
  #passOver(draft: Draft, series: Series, batch: Batch): void {
    if (batch.settledBy === this.journal.id) this.#loseSeqs(draft, batch, 'restored', [series.last + 1, batch.after]);
    series.last = batch.after;
  }

  #store(draft: Draft, series: Series, batch: Batch): void {
    const { lost, events } = batch;
    const entry: NewEntry = { series: batch.series, seq: 0, kind: 'accepted', first: 0, bytes: batch.series, start: 0, end: 0 };
    let seq = batch.after;
    let nextLost = 0;
    for (let i = 0; i <= events.length; i++) {
      for (; nextLost < lost.length && (lost[nextLost]!.first === seq + 1 || i === events.length); nextLost++) {
        const range = lost[nextLost]!;
        if (range.last > series.last) this.#loseSeqs(draft, batch, range.cause, [Math.max(range.first, series.last + 1), range.last]);
        seq = range.last;
      }
      if (i === events.length) break;
      seq++;
      if (seq <= series.last) continue;
      this.#storeEvent(draft, series, entry, { seq, bytes: events[i]!, batch });
    }
    series.last = Math.max(series.last, seq);
    for (const event of batch.refused ?? []) this.rejected.keep(draft, event);
  }

  #storeEvent(
    draft: Draft,
    series: Series,
    entry: NewEntry,
    { seq, bytes, batch }: { seq: number; bytes: Uint8Array; batch: Batch },
  ): void {
    const walk = this.#walk;
    const { types } = this.#options;
    const given = bytes;
    if (types) bytes = completeEvent(given, types);
    const reason = walk.over(bytes, 0, bytes.length) ? types?.refusal(typeOf(bytes)) : walk.reason;
    if (reason !== undefined) {
      this.#series.reject(draft, series, { seq, reason });
      this.rejected.keep(draft, refusedBytes(given, `${series.id}-${seq}`, reason));
      this.#counts.rejected++;
      this.lose(draft, originOf(batch), 'rejected', [seq, seq]);
      return;
    }
    entry.seq = seq;
    entry.kind = 'accepted';
    entry.first = 0;
    entry.bytes = bytes;
    entry.start = 0;
    entry.end = bytes.length;
    const lane = this.#dedup.append(draft, walk.severity >= this.#urgentFrom ? 'urgent' : 'normal', entry, walk);
    this.#counts.accepted[lane]++;
  }

  #loseSeqs(draft: Draft, batch: Batch, cause: LostRange['cause'], range: readonly [number, number]): void {
    this.#counts.lost += range[1] - range[0] + 1;
    this.lose(draft, originOf(batch), cause, range);
  }

  #announce(draft: Draft): void {
    for (const losses of this.#losses.take(draft)) {
      const count = losses.reduce((sum, loss) => sum + loss.count, 0);
      const message = `${count} ${count === 1 ? 'event is' : 'events are'} missing: ${[...new Set(losses.map((loss) => loss.cause))].join(', ')}`;
      this.#counts.notices++;
      this.record(draft, 'urgent', { type: OWN_TYPES.loss, severity: 'error', message, attributes: { count, losses } });
    }
  }

  #putCounts(draft: Draft): void {
    draft.put(LEDGER_ROW, () => this.#counts);
  }

  #reply(batch: Batch, series: Series): BatchReply {
    return batchReply(this.journal.id, batch, series);
  }
}

function originOf(batch: Batch): LossOrigin {
  return { kind: 'series', id: uuidText(batch.series), node: batch.sender.node, component: batch.sender.component };
}
