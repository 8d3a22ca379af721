import { asError, isFondacoError } from '../../../core/errors.ts';
import type { Entry, Journal } from '../../../core/journal.ts';
import { LANES } from '../../../core/lane.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import { Dispatch } from '../../../dispatcher/dispatch.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import { readLedger, type Ledger } from '../../../dispatcher/ledger/ledger.ts';
import { DiskJournal } from '../../../journal/disk-journal.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { auditStore, rowsOf } from '../../support/store-audit.ts';
import { Destination } from './destination.ts';
import { SimDisk } from './disk.ts';
import type { Listening } from './network.ts';
import { LifeClock, type Host, type Life, type Timeline } from './timeline.ts';

export const WRITERS = ['all', 'some'] as const;
export type WriterName = (typeof WRITERS)[number];
/** What `some` wants, by turns. */
export const FILTERS: readonly Filter[] = [{}, { minSeverity: 'warn' }, { types: ['test.*'] }];
const DEDUP_MS = 5000;
export const BATCH_MS = 1000;
const YEAR_MS = 365 * 86_400_000;

/** A site's proxy, with a machine of its own and destinations beyond it: it lives, dies and lives again on one store. */
export class Site {
  readonly disk: SimDisk;
  readonly host: Host = { offsetMs: 0 };
  readonly destinations: Record<WriterName, Destination>;
  readonly problems: string[] = [];
  /** Every entry that was ever durable, also those that a restore took away: by epoch's birth, lane and position. */
  readonly history = new Map<string, Entry>();
  commits = 0;
  restores = 0;
  /** The dead letters of stores that are no more. */
  readonly goneLetters: { readonly writer: WriterName; readonly letter: DeadLetter }[] = [];
  listening: Listening | undefined;
  storage = new MemoryStorage();
  journal: Journal | undefined;
  readonly #timeline: Timeline;
  readonly #random: () => number;
  readonly #ledgers: Promise<Ledger>[] = [];
  #life: Life = { isDead: true, frozen: [] };
  #stop = new AbortController();
  #state: 'down' | 'starting' | 'up' | 'stopping' = 'down';
  #copy: MemoryStorage | undefined;

  constructor(timeline: Timeline, random: () => number) {
    this.#timeline = timeline;
    this.#random = random;
    this.disk = new SimDisk(timeline);
    this.destinations = { all: new Destination(timeline), some: new Destination(timeline) };
  }

  /** Begins a life if there is none. Where the disk fails meanwhile it ends again, as a supervisor would see. */
  start(filter: Filter = {}): void {
    if (this.#state !== 'down') return;
    this.#state = 'starting';
    const life: Life = { isDead: false, frozen: [] };
    this.#life = life;
    this.#stop = new AbortController();
    this.#run(life, filter).catch((error: unknown) => {
      if (!isFondacoError(error)) this.problems.push(`the proxy must open, got ${asError(error).stack}`);
      this.#timeline.end(life, false);
      this.#state = 'down';
    });
  }

  async #run(life: Life, filter: Filter): Promise<void> {
    const clock = new LifeClock(this.#timeline, life, this.host);
    const { storage } = this;
    this.disk.attach(storage, life, 'a write to the journal');
    const journal = await DiskJournal.open(() => storage.open(), { clock, stamp: { site: 'plant-7' } });
    journal.onCommit(() => this.#look(journal));
    const settings = { batch: { intervalMs: BATCH_MS, eventsMax: 4 }, retry: { policy: 'backoff', initialMs: 200, maxMs: 5000 } } as const;
    const dispatch = await Dispatch.open(journal, {
      clock,
      random: this.#random,
      node: 'proxy-host',
      dedup: { intervalMs: DEDUP_MS, windowsMax: 5 },
      budget: { retentionMs: 10 * YEAR_MS },
      writers: WRITERS.map((name) => ({
        name,
        writer: this.destinations[name].writer(life),
        filter: name === 'some' ? filter : {},
        ...settings,
      })),
    });
    const onBug = (bug: unknown): void => void this.problems.push(`a bug: ${asError(bug).stack}`);
    this.journal = journal;
    this.listening = { life, journal: journal.id, accept: async (batch) => dispatch.accept(batch), onBug };
    this.#state = 'up';
    dispatch
      .run(this.#stop.signal)
      .then(async () => {
        await journal.close();
        this.#timeline.end(life, false);
        this.#state = 'down';
      })
      .catch(onBug);
  }

  /** Every durable commit: positions, series and sums as the entries themselves show them, and the books. */
  #look(journal: Journal): void {
    this.commits++;
    this.#ledgers.push(readLedger(journal));
    try {
      const { entries, added, held, accepted } = auditStore(this.storage);
      if (added + held !== accepted) this.problems.push(`commit ${this.commits}: added ${added} + held ${held}, of ${accepted} accepted`);
      for (const lane of LANES)
        for (const entry of entries[lane]) this.history.set(`${entry.epoch.birth}/${lane}/${entry.position}`, entry);
    } catch (error) {
      this.problems.push(`commit ${this.commits}: ${asError(error).message}`);
    }
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** SIGKILL. `isStored`: what was on its way to the disk, or to a destination, has arrived all the same. */
  kill(isStored: boolean): void {
    if (this.#state === 'down') return;
    this.#timeline.end(this.#life, isStored);
    this.listening = undefined;
    this.#state = 'down';
  }

  /** SIGTERM: it comes to an end by itself. */
  stop(): void {
    if (this.#state !== 'up') return;
    this.#state = 'stopping';
    this.listening = undefined;
    this.#stop.abort();
  }

  copy(): void {
    this.#copy = this.storage.copy();
  }

  /** Puts the older copy in the place of the store, if there is one and the proxy is down. True if so. */
  restore(): boolean {
    if (!this.#copy || this.#state !== 'down') return false;
    for (const writer of WRITERS) {
      const letters = rowsOf(this.storage, `dead:${writer}/`).map(({ value }) => ({ writer, letter: value as DeadLetter }));
      this.goneLetters.push(...letters);
      this.destinations[writer].setBackAt.add(this.destinations[writer].taken.length);
    }
    this.storage = this.#copy;
    this.#copy = undefined;
    this.restores++;
    return true;
  }

  /** Throws nothing: what did not balance is among the problems. Returns by how much. */
  async checkLedgers(): Promise<number> {
    let off = 0;
    for (const ledger of await Promise.all(this.#ledgers)) {
      if (ledger.isBalanced) continue;
      off += Math.abs(ledger.dedupDiscrepancy);
      for (const { lanes } of ledger.writers) for (const lane of LANES) off += Math.abs(lanes[lane].discrepancy);
      this.problems.push(`not balanced: ${JSON.stringify(ledger)}`);
    }
    return off;
  }
}
