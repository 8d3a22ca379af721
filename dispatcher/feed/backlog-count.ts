/**
 * Counts what waits for a writer that is away: in the background, a stretch of the journal at a time, so that the answer is there when the
 * writer is back, however much waits. Where it stands is in the row `away:<writer>`, written now and then; after a kill it is
 * counted again from there.
 */
import { Bell } from '../../core/bell.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Draft, Entry } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { decodeEntry } from '../decode-entry.ts';
import { Tally, type BacklogTally, type StoredTally } from './backlog-tally.ts';
import type { Feed } from './feed.ts';
import type { Filter } from './filter.ts';
import { isSameFilter } from './filter.ts';
import { wantedBy } from './lane-cut.ts';
import type { OpenOutage } from './outage.ts';

export const AWAY_PREFIX = 'away:';

/** An outage that is over sooner needs no counting. */
const COUNT_AFTER_MS = 20_000;
const STRETCH_BYTES = 256 * 1024;
/** Between two stretches while it is behind, and between two looks when it is not: some 12 MiB a second at most. */
const PAUSE_MS = 20;
const LOOK_MS = 1000;
const PUT_MS = 10_000;
/** At the end of an outage, so much is still counted before the commit. */
const CATCH_UP_BYTES = 32 * 1024 * 1024;
/** Marks a lane, at which it is known how much was counted before: between two of them is counted anew. */
const MARKS_MAX = 256;

interface LaneCount {
  /** Everything from the start of the outage to before it was looked at. */
  at: number;
  /** Deliveries among them. */
  deliveries: number;
  /** Positions and the deliveries before them, `every` entries apart. */
  marks: [position: number, deliveries: number][];
  every: number;
}

interface AwayRow {
  /** The outage. */
  readonly from: number;
  readonly filter: Filter;
  readonly lanes: PerLane<LaneCount>;
  readonly tally: StoredTally;
}

export class BacklogCount {
  readonly #feed: Feed;
  #from: number | undefined;
  #lanes!: PerLane<LaneCount>;
  #tally = new Tally();
  #wants: (event: DecodedEvent, entry: Entry) => boolean;
  readonly #bell = new Bell();
  #beganAt = 0;
  #putAt = 0;
  #isPut = true;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#wants = wantedBy(feed.settings);
  }

  /** An outage begins. */
  begin({ from, start, lastedMs }: OpenOutage): void {
    this.#from = from;
    this.#tally = new Tally();
    this.#lanes = perLane((lane) => ({ at: start[lane], deliveries: 0, marks: [], every: 1000 }));
    this.#putAt = this.#feed.clock.monotonic();
    this.#beganAt = this.#putAt - lastedMs;
    this.#isPut = true;
    this.#bell.ring();
  }

  /** The feed's row was loaded. What this life has counted holds, also when the journal was reopened: it reads what is durable alone. */
  async load(outage: OpenOutage | undefined): Promise<void> {
    if (!outage || outage.from === this.#from) return;
    this.begin(outage);
    const { settings, dispatcher } = this.#feed;
    const stored = (await dispatcher.journal.row(this.#key).catch((error: unknown) => {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      return undefined;
    })) as AwayRow | undefined;
    if (stored?.from !== outage.from || !isSameFilter(stored.filter, settings.filter)) return;
    this.#lanes = stored.lanes;
    this.#tally = new Tally(stored.tally);
  }

  /** Something came, or a feed is being stopped. */
  ring(): void {
    this.#bell.ring();
  }

  /** Counts while there is an outage that lasts, until `signal` is aborted and the bell rung. Wakes up for nothing else. */
  async run(current: () => OpenOutage | undefined, signal: AbortSignal): Promise<void> {
    const { clock } = this.#feed;
    while (!signal.aborted) {
      const outage = current();
      const youngMs = this.#beganAt + COUNT_AFTER_MS - clock.monotonic();
      if (!outage || this.#from === undefined) await this.#bell.wait(clock);
      else if (youngMs > 0) await this.#pause(youngMs, signal, () => current() === undefined);
      else {
        const bytes = await this.#goOn();
        if (bytes === 0) await this.#bell.wait(clock, this.#putInMs);
        await this.#pause(bytes > 0 ? PAUSE_MS : LOOK_MS, signal);
      }
    }
  }

  /** For so long, whatever rings. */
  async #pause(ms: number, signal: AbortSignal, isOver = (): boolean => false): Promise<void> {
    const { clock } = this.#feed;
    const until = clock.monotonic() + ms;
    for (let rest = ms; rest > 0 && !signal.aborted && !isOver(); rest = until - clock.monotonic()) await this.#bell.wait(clock, rest);
  }

  /** Resolves with the bytes that were looked at. */
  async #goOn(): Promise<number> {
    try {
      const bytes = await this.#stretch();
      await this.#put();
      return bytes;
    } catch (error) {
      if (!isFondacoError(error)) throw error; // the journal is being reopened
      return 0;
    }
  }

  /** Counts what is left, for a bounded while. */
  async catchUp(): Promise<void> {
    try {
      for (let bytes = 0, more = 1; bytes < CATCH_UP_BYTES && more > 0; bytes += more) more = await this.#stretch();
    } catch (error) {
      if (!isFondacoError(error)) throw error;
    }
  }

  /** Entries that were not looked at. */
  behind(): number {
    const { journal } = this.#feed.dispatcher;
    return LANES.reduce((sum, lane) => sum + Math.max(0, journal.head(lane) - this.#lanes[lane].at), 0);
  }

  tally(): BacklogTally {
    return this.#tally.told();
  }

  /** Of what was counted, the deliveries from `position` on. */
  async waiting(lane: Lane, position: number): Promise<number> {
    const { at, deliveries, marks } = this.#lanes[lane];
    if (position >= at) return 0;
    const [end, before] = marks.find(([mark]) => mark >= position) ?? [at, deliveries];
    let between = 0;
    const { journal } = this.#feed.dispatcher;
    try {
      for (let from = position; from < end;) {
        const { entries, hole } = await journal.read(lane, from, STRETCH_BYTES);
        for (const entry of entries) if (entry.position < end && this.#isWanted(entry)) between++;
        from = hole?.to ?? (entries.at(-1)?.position ?? end) + 1;
      }
    } catch (error) {
      if (!isFondacoError(error)) throw error;
    }
    return between + deliveries - before;
  }

  /** In the commit that ends the outage. */
  end(draft: Draft): void {
    draft.delete(this.#key);
  }

  get #key(): string {
    return AWAY_PREFIX + this.#feed.settings.name;
  }

  /** One stretch of a lane that is behind, urgent first. Resolves with its bytes; 0 when there is nothing to count. */
  async #stretch(): Promise<number> {
    const { journal } = this.#feed.dispatcher;
    for (const lane of LANES) {
      const count = this.#lanes[lane];
      if (count.at >= journal.head(lane)) continue;
      const from = count.at;
      const { entries, hole } = await journal.read(lane, from, STRETCH_BYTES);
      if (count !== this.#lanes[lane] || count.at !== from) return 1; // another outage, or the other one who counts
      let bytes = 1;
      for (const entry of entries) {
        this.#add(count, entry);
        bytes += entry.bytes.length;
      }
      if (hole) count.at = hole.to; // given up before it was counted, or damaged: what was lost says how many
      this.#isPut = false;
      return bytes;
    }
    return 0;
  }

  #add(count: LaneCount, entry: Entry): void {
    const last = count.marks.at(-1)?.[0] ?? -Infinity;
    if (entry.position - last >= count.every) count.marks.push([entry.position, count.deliveries]);
    if (count.marks.length > MARKS_MAX) {
      count.marks = count.marks.filter((_, i) => i % 2 === 0);
      count.every *= 2;
    }
    if (entry.kind === 'folded') this.#tally.addFolded();
    else if (this.#isWanted(entry)) {
      this.#tally.add(decodeEntry(entry));
      count.deliveries++;
    }
    count.at = entry.position + 1;
  }

  #isWanted(entry: Entry): boolean {
    return entry.kind !== 'folded' && this.#wants(decodeEntry(entry), entry);
  }

  /** Until what was counted is to be written down; Infinity where it is. */
  get #putInMs(): number {
    return this.#isPut ? Infinity : Math.max(0, this.#putAt + PUT_MS - this.#feed.clock.monotonic());
  }

  async #put(): Promise<void> {
    const { clock, dispatcher, settings } = this.#feed;
    const from = this.#from;
    if (this.#putInMs > 0 || from === undefined) return;
    this.#putAt = clock.monotonic();
    await dispatcher.journal.commit((draft) => {
      if (this.#feed.row.outage?.from !== from) return;
      draft.put(this.#key, (): AwayRow => ({ from, filter: settings.filter, lanes: this.#lanes, tally: this.#tally.stored() }));
      this.#isPut = true;
    });
  }
}
