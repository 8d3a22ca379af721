/**
 * Keeps the journal within its limits, in this order:
 *
 * 1. What is older than `retention`, and settled at every writer, is trimmed.
 * 2. A writer whose backlog is beyond its own limits gives up its oldest (`drop-oldest`: normal lane before urgent), or ingest is refused
 *    (`refuse`). What is older than its `ageMax` it gives up in any case.
 * 3. Where the journal's own budget is nearly spent, or the disk is full: settled history is trimmed, oldest first, normal lane first; then
 *    the writers furthest behind pay by their policy, normal lane before urgent; only then is ingest refused.
 *
 * What a writer gives up is counted there, announced, and not read; a feed moves its own cursor. Freed room goes back to the file system by
 * compaction. All of it is looked at once a second, whenever a batch has to wait or is refused, when writers have paid, and when a share of
 * the smallest backlog has come in since.
 */
import { Bell } from '../../core/bell.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { Ages } from './ages.ts';
import type { Dispatcher } from '../dispatcher.ts';
import type { Feed } from '../feed/feed.ts';
import type { LaneFeed } from '../feed/lane-feed.ts';

/** Of the journal. */
export interface Budget {
  /** Bytes of entries. */
  readonly bytesMax: number;
  /** Settled entries are kept so long, within the budget. */
  readonly retentionMs: number;
}

/** How full the journal is; sizes in bytes of entries. */
export interface BacklogStatus {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly retentionMs: number;
  /** The disk has no room. */
  readonly isLow: boolean;
  /** Why nothing is taken in at the moment. */
  readonly refusal?: string;
}

const LOOK_MS = 1000;
/** Room is made from here on, and down to there: so acceptance has some left while a writer gives up what it is just sending. */
const HIGH = 0.9;
const LOW = 0.8;
/** A backlog goes beyond its limit by about this share of it, however fast events come. */
const LOOK_SHARE = 1 / 16;
/** On a full disk so much is freed at a time … */
const LOW_SHARE = 1 / 8;
/** … and writers pay at most so often, because it may be others who fill it. */
const PAY_MS = 5000;
/** Freed by trimming: compacted when it is so much, or so much with nothing pending. */
const COMPACT_BYTES = 32 * 1024 * 1024;
const COMPACT_DRAINED_BYTES = 1024 * 1024;
/** Marks of age are at most so far apart, and at least. */
const MARK_MS = { max: 3_600_000, min: 1000 } as const;

export class Backlog {
  readonly #dispatcher: Dispatcher;
  readonly #journal: Journal;
  readonly #feeds: readonly Feed[];
  readonly #budget: Budget;
  readonly #ages: Ages;
  readonly #bell = new Bell();
  /** Trimmed since the last compaction. */
  #freed = 0;
  #paidAt = -Infinity;
  /** Who was asked to pay, up to where. */
  #payers: { readonly lane: LaneFeed; readonly to: number }[] = [];

  private constructor(dispatcher: Dispatcher, feeds: readonly Feed[], budget: Budget, ages: Ages) {
    this.#dispatcher = dispatcher;
    this.#journal = dispatcher.journal;
    this.#feeds = feeds;
    this.#budget = budget;
    this.#ages = ages;
  }

  /** From now on acceptance refuses what is beyond the budget. */
  static async open(dispatcher: Dispatcher, feeds: readonly Feed[], budget: Budget): Promise<Backlog> {
    const backlog = new Backlog(dispatcher, feeds, budget, await Ages.open(dispatcher.journal, dispatcher.clock));
    backlog.#limitIntake();
    dispatcher.journal.onCommit(() => backlog.#ringWhenPaid());
    return backlog;
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#bell.ring(), { once: true });
    while (!signal.aborted) {
      try {
        if (this.#journal.isOpen) await this.#look();
      } catch (error) {
        if (!isFondacoError(error)) throw error; // a bug; what the journal could not take is looked at again
      }
      await this.#bell.wait(this.#dispatcher.clock, LOOK_MS);
    }
  }

  status(): BacklogStatus {
    const { bytesMax, retentionMs } = this.#budget;
    const { refusal } = this.#dispatcher.room;
    return { bytes: this.#used, bytesMax, retentionMs, isLow: this.#journal.isLow, ...(refusal !== undefined && { refusal }) };
  }

  get #used(): number {
    return LANES.reduce((sum, lane) => sum + this.#journal.bytes(lane), 0);
  }

  #limitIntake(): void {
    const { bytesMax } = this.#budget;
    const smallest = Math.min(...this.#feeds.map(({ settings }) => settings.backlog.bytesMax));
    const high = Math.min(HIGH * bytesMax, this.#used + LOOK_SHARE * smallest);
    this.#dispatcher.room.limit({ bytesMax, high }, () => this.#bell.ring());
  }

  /** Everything below it is settled at every writer. */
  #floor(lane: Lane): number {
    return Math.min(this.#journal.head(lane), ...this.#feeds.map((feed) => feed.lanes[lane].cursor));
  }

  async #look(): Promise<void> {
    const { retentionMs } = this.#budget;
    const shortest = Math.min(retentionMs, ...this.#feeds.map(({ settings }) => settings.backlog.ageMaxMs));
    await this.#ages.mark(Math.min(Math.max(shortest / 50, MARK_MS.min), MARK_MS.max));
    for (const lane of LANES) {
      const old = Math.min(this.#ages.olderThan(lane, retentionMs), this.#floor(lane), this.#dispatcher.oldestWindow(lane));
      await this.#trim(lane, old);
    }
    const full = await this.#limitWriters();
    const spent = await this.#limitJournal();
    this.#dispatcher.room.refuse(full ?? spent);
    this.#limitIntake();
    await this.#compact();
    this.#ages.forget();
  }

  /** Why ingest has to be refused, if a writer wants that. */
  async #limitWriters(): Promise<string | undefined> {
    let refusal: string | undefined;
    for (const feed of this.#feeds) {
      const { name, backlog } = feed.settings;
      for (const lane of LANES)
        feed.lanes[lane].giveUp(Math.min(this.#ages.olderThan(lane, backlog.ageMaxMs), this.#journal.head(lane)), 'age');
      const behind = await this.#behind(feed);
      const bytes = behind.urgent + behind.normal;
      if (bytes <= backlog.bytesMax) continue;
      if (backlog.whenFull === 'refuse') refusal ??= `the backlog of writer ${name} has reached its bytesMax of ${backlog.bytesMax}`;
      else await this.#pay(feed, behind, bytes - HIGH * backlog.bytesMax);
    }
    return refusal;
  }

  /** Bytes from the cursor to the head. */
  async #behind(feed: Feed): Promise<PerLane<number>> {
    const behind = perLane(() => 0);
    for (const lane of LANES) {
      const { cursor } = feed.lanes[lane];
      if (cursor < this.#journal.head(lane)) behind[lane] = this.#journal.bytes(lane) - (await this.#journal.bytesBefore(lane, cursor));
    }
    return behind;
  }

  async #pay(feed: Feed, behind: PerLane<number>, bytes: number): Promise<void> {
    let rest = bytes;
    for (const lane of ['normal', 'urgent'] as const) {
      if (rest <= 0) return;
      const settled = this.#journal.bytes(lane) - behind[lane];
      feed.lanes[lane].giveUp(await this.#journal.positionAfter(lane, settled + Math.min(rest, behind[lane])), 'budget');
      rest -= behind[lane];
    }
  }

  /** Why ingest has to be refused, if it has. */
  async #limitJournal(): Promise<string | undefined> {
    const { isLow } = this.#journal;
    const { bytesMax } = this.#budget;
    const used = this.#used;
    if (!isLow && used <= HIGH * bytesMax) return undefined;
    const rest = await this.#trimHistory(isLow ? used * LOW_SHARE : used - LOW * bytesMax);
    const holder = rest > 0 ? await this.#makePay(rest) : undefined;
    if (isLow) return 'the disk is full';
    if (holder === undefined || this.#used <= bytesMax) return undefined; // what writers pay is there in a moment
    return `the budget of the journal is spent by the backlog of writer ${holder}, which refuses to drop`;
  }

  /** Trims what is settled, normal lane first; resolves with how many of the bytes are still to be freed. */
  async #trimHistory(bytes: number): Promise<number> {
    let rest = bytes;
    for (const lane of ['normal', 'urgent'] as const) {
      if (rest <= 0) break;
      const before = this.#journal.bytes(lane);
      const to = Math.min(this.#floor(lane), await this.#journal.positionAfter(lane, rest));
      await this.#dispatcher.closeWindowsBelow(lane, to);
      await this.#trim(lane, to);
      rest -= before - this.#journal.bytes(lane);
    }
    return rest;
  }

  /** Lets those pay whose cursors keep the oldest bytes. Resolves with a writer that will not. */
  async #makePay(bytes: number): Promise<string | undefined> {
    const now = this.#dispatcher.clock.monotonic();
    if (this.#journal.isLow && now - this.#paidAt < PAY_MS) return undefined;
    this.#paidAt = now;
    this.#payers = [];
    let rest = bytes;
    const furthest = await this.#furthestBehind();
    for (const lane of ['normal', 'urgent'] as const) {
      if (rest <= 0) break;
      const to = await this.#journal.positionAfter(lane, rest);
      const behind = furthest.filter((feed) => feed.lanes[lane].cursor < to);
      const holder = behind.find(({ settings }) => settings.backlog.whenFull === 'refuse');
      if (holder) return holder.settings.name;
      for (const feed of behind) feed.lanes[lane].giveUp(to, 'budget');
      this.#payers.push(...behind.map((feed) => ({ lane: feed.lanes[lane], to })));
      rest -= this.#journal.bytes(lane);
    }
    const havePaid = this.#payers.length === 0 && LANES.some((lane) => this.#floor(lane) > this.#journal.tail(lane));
    if (havePaid) this.#bell.ring(); // just now, since history was trimmed
    return undefined;
  }

  /** Those with at least half as much before them as the one that has most: one that is a little behind pays nothing for the others. */
  async #furthestBehind(): Promise<Feed[]> {
    const all: { feed: Feed; bytes: number }[] = [];
    for (const feed of this.#feeds) {
      const { urgent, normal } = await this.#behind(feed);
      all.push({ feed, bytes: urgent + normal });
    }
    const most = Math.max(...all.map(({ bytes }) => bytes));
    return all.filter(({ bytes }) => bytes * 2 >= most).map(({ feed }) => feed);
  }

  /** Then there is something to trim, and perhaps somebody waits for that room. */
  #ringWhenPaid(): void {
    if (this.#payers.length === 0 || this.#payers.some(({ lane, to }) => lane.cursor < to)) return;
    this.#payers = [];
    this.#bell.ring();
  }

  async #trim(lane: Lane, position: number): Promise<void> {
    if (position <= this.#journal.tail(lane)) return;
    const before = this.#journal.bytes(lane);
    await this.#journal.trim(lane, position);
    this.#freed += before - this.#journal.bytes(lane);
  }

  async #compact(): Promise<void> {
    const isDrained = LANES.every((lane) => this.#floor(lane) === this.#journal.head(lane));
    const enough = isDrained || this.#journal.isLow ? COMPACT_DRAINED_BYTES : Math.max(COMPACT_BYTES, this.#budget.bytesMax / 64);
    if (this.#freed < enough) return;
    this.#freed = 0;
    await this.#journal.compact();
  }
}
