/**
 * What all inside a proxy share: the books (counts, series, windows, losses, own events), batches that come in, and the loop that ends
 * windows and announces losses. What becomes of a batch is in acceptance/, whether there is room for it in limits/room.ts.
 *
 * What is in memory here runs ahead of the disk by the commits in flight. When the journal had to be reopened, all of it is loaded again.
 */
import type { Batch, BatchReply, LostRange } from '../core/batch.ts';
import { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { isFondacoError } from '../core/errors.ts';
import type { Hop } from '../core/event-envelope.ts';
import type { Draft, Entry, Journal } from '../core/journal.ts';
import { LANES, type Lane } from '../core/lane.ts';
import { SEVERITY_NUMBER, type Severity } from '../core/severity.ts';
import type { TypeRules } from '../core/type-rules.ts';
import { uuidText } from '../core/uuid.ts';
import { Acceptance, batchReply } from './acceptance/acceptance.ts';
import { newestSeqs } from './acceptance/newest-seqs.ts';
import { LEDGER_ROW, zeroCounts, type Counts } from './ledger/counts.ts';
import { FEED_PREFIX, type FeedRow } from './feed/feed-row.ts';
import { fieldsToKeep, type Filter } from './feed/filter.ts';
import { cutOff, mend, mendedEvent, type Mended } from './ledger/mend.ts';
import { Forwarded } from './acceptance/forwarded.ts';
import { Dedup, WINDOW_PREFIX, type DedupOptions } from './acceptance/dedup.ts';
import { LOSS_PREFIX, Losses, portionsOf, type Loss, type LossOrigin } from './ledger/losses.ts';
import { OWN_TYPES, OwnSeries, type OwnEvent } from './own-events.ts';
import { RejectedEvents } from './acceptance/rejected-events.ts';
import { Room, THROTTLE_MS } from './limits/room.ts';
import { SeriesRows, type Series } from './acceptance/series-rows.ts';
import { SITE_PREFIX, Sites } from './sites.ts';

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
/** Of one series, not yet seen by its sender; beyond it the series is throttled until they are. */
const REJECTIONS_MAX = 50_000;

/** The books and the one commit; `run` ends windows and announces losses until it is aborted. */
export class Dispatcher {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: () => number;
  /** What there is for batches, and why there is none. */
  readonly room: Room;
  /** Events that were rejected, as far as they are kept. */
  readonly rejected: RejectedEvents;
  /** The sites below, by their heartbeats. */
  readonly sites: Sites;
  readonly #options: DispatcherOptions;
  readonly #urgentFrom: number;
  readonly #series: SeriesRows;
  readonly #losses = new Losses();
  readonly #bell = new Bell();
  readonly #keptFields = new Set<string>();
  #counts: Counts = zeroCounts();
  #own!: OwnSeries;
  #dedup!: Dedup;
  readonly #windowEnds = new Map<string, number>();
  #isLoaded = false;
  #acceptance!: Acceptance;
  /** When `run` looks again, on the monotonic clock. */
  #wakeAt = Infinity;
  /** What a damaged store needs, not yet in a commit. */
  #mended: (Mended & { readonly what: readonly string[] }) | undefined;
  #told: readonly string[] = [];
  /** That the store before this one is gone, which the next opening by this process finds again. */
  #isGoneTold = false;
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
    this.room = new Room(journal, options.clock);
    this.sites = new Sites({ clock: options.clock, record: (draft, event) => this.record(draft, 'normal', event) });
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
   * (`expected`) or its events (`rejections`), or throttled; before that it waits, for 8 s at most, for room that writers make. Rejects
   * UNAVAILABLE while the journal is being reopened, FULL where the disk has no room for it.
   */
  async accept(batch: Batch): Promise<BatchReply> {
    const id = uuidText(batch.series);
    const found = this.#series.find(id);
    const series = found instanceof Promise ? await found : found;
    const { rejections } = series;
    const isDeaf = rejections.length > REJECTIONS_MAX && batch.settled < rejections[0]!.seq;
    const bytes = batch.events.reduce((sum, event) => sum + event.length, 0);
    series.pending++;
    const throttleMs = isDeaf ? THROTTLE_MS : await this.room.take(bytes);
    try {
      if (throttleMs > 0) return await this.journal.commit(() => ({ ...batchReply(this.journal.id, batch, series), throttleMs }));
      const reply = await this.journal.commit((draft) => this.#take(draft, series, batch));
      if (batch.isClosing) this.#series.closed(id);
      return reply;
    } finally {
      series.pending--;
      if (throttleMs === 0) this.room.giveBack(bytes);
      this.#series.trimCache();
      if (this.#series.isOver(this.#counts)) this.#bell.ring();
    }
  }

  #take(draft: Draft, series: Series, batch: Batch): BatchReply {
    const reply = this.#acceptance.take(draft, series, batch);
    if (Math.min(this.#dedup.nextDue(), this.sites.nextDue()) < this.#wakeAt) this.#bell.ring();
    return reply;
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
      this.#wakeAt = isBehind ? now : Math.min(noticesDue, this.#dedup.nextDue(), this.sites.nextDue());
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
          this.sites.closeDue(draft, now);
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
    const all = await journal.snapshot([LEDGER_ROW, WINDOW_PREFIX, LOSS_PREFIX, FEED_PREFIX, SITE_PREFIX]);
    const cut = await cutOff(journal, this.#isGoneTold);
    const mended = mend(all, { urgent: journal.head('urgent'), normal: journal.head('normal') }, cut);
    this.#told = [...journal.salvaged, ...mended.problems];
    this.#mended = this.#told.length > 0 ? { ...mended, what: this.#told } : undefined;
    const rows = all.filter(({ key }) => !mended.deletions.includes(key));
    this.#counts = mended.counts;
    this.#series.clear();
    if (this.#mended) this.#counts.series = await this.#series.count();
    await this.rejected.load();
    this.#losses.load(rows, mended.counts);
    this.sites.load(rows);
    for (const { key, value } of rows) if (key.startsWith(FEED_PREFIX) && value !== undefined) this.#keepFieldsOf(value as FeedRow);
    this.#own = new OwnSeries(this.#options.node, clock.now());
    const ends = this.#windowEnds;
    this.#dedup = new Dedup({ options: this.#options.dedup, clock, counts: this.#counts, own: this.#own, ends, random });
    this.#acceptance = new Acceptance({
      journal,
      series: this.#series,
      dedup: this.#dedup,
      counts: this.#counts,
      rejected: this.rejected,
      urgentFrom: this.#urgentFrom,
      types: this.#options.types,
      keptFields: this.#keptFields,
      forwarded: new Forwarded({ ...this.#hop(), sites: this.sites, report: (draft, event) => this.record(draft, 'normal', event) }),
      lose: this.lose.bind(this),
    });
    const { stamp } = journal.epochs.at(-1)!;
    const first = (lane: Lane, position: number): Promise<Entry | undefined> => this.#readOne(lane, position);
    this.#gone = await this.#dedup.load(rows, stamp, first, { isReopened: this.#isLoaded });
    this.#isLoaded = true;
    this.#bell.ring();
  }

  #hop(): Hop {
    return { site: this.journal.epochs.at(-1)!.stamp.site, journal: this.journal.id };
  }

  /** A writer has this filter: from here on events that differ in what it names have different dedup keys. For good, as long as this lives. */
  keepFields(filter: Filter): void {
    for (const field of fieldsToKeep(filter)) this.#keptFields.add(field);
  }

  /** Also of a writer that is not there now, and by the filter before the last change, which may still go for some. */
  #keepFieldsOf({ filter, lanes }: FeedRow): void {
    this.keepFields(filter);
    for (const lane of LANES) if (lanes[lane].before) this.keepFields(lanes[lane].before.filter);
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
    const behind = await this.#series.behind(await newestSeqs(this.journal));
    await this.journal.commit((draft) => {
      for (const { series, last } of behind) {
        series.last = Math.max(series.last, last);
        this.#series.put(draft, series, this.#counts);
      }
      for (const lane of LANES) draft.skip(lane, mended.heads[lane]);
      for (const key of mended.deletions) draft.delete(key);
      if (mended.unreported > 0) this.lose(draft, { kind: 'window', id: 'of a damaged store' }, 'corrupt', [1, mended.unreported]);
      this.reportMended(draft, mended.what);
    });
    this.#isGoneTold = true;
  }

  /** Tells what was damaged and put right. */
  reportMended(draft: Draft, what: readonly string[]): void {
    this.record(draft, 'urgent', mendedEvent(what));
  }

  /** What was damaged at the last opening, and was put right. */
  get mended(): readonly string[] {
    return this.#told;
  }

  /** Writers that have a feed: their rows are no one else's. */
  readonly served = new Set<string>();

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

  /** Notes in the commit that deletes its row that there is no such writer. `dropped`: entries that it was given up. */
  forget(draft: Draft, writer: string, dropped: number): void {
    this.#counts.writers = this.#counts.writers.filter((each) => each !== writer);
    this.#counts.droppedByRemoved += dropped;
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

  #announce(draft: Draft): void {
    this.#tell(draft, this.#losses.take(draft));
  }

  /** Tells one writer, in the commit, of losses that it has given up the notices of. */
  tell(draft: Draft, losses: readonly Loss[], writer: string): void {
    this.#tell(draft, portionsOf(losses), { writer });
  }

  #tell(draft: Draft, portions: readonly (readonly Loss[])[], to: { readonly writer?: string } = {}): void {
    for (const losses of portions) {
      const count = losses.reduce((sum, loss) => sum + loss.count, 0);
      const message = `${count} ${count === 1 ? 'event is' : 'events are'} missing: ${[...new Set(losses.map((loss) => loss.cause))].join(', ')}`;
      this.#counts.notices++;
      this.record(draft, 'urgent', {
        type: OWN_TYPES.loss,
        severity: 'error',
        message,
        attributes: { ...to, count, losses },
      });
    }
  }

  #putCounts(draft: Draft): void {
    draft.put(LEDGER_ROW, () => this.#counts);
  }
}
