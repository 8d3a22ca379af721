/** A proxy's store of 256 KiB with two destinations, `well`, which has got everything, and `away`, for which all of it waits. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FondacoError } from '../../../core/errors.ts';
import type { EntryKind } from '../../../core/journal.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import type { Delivery, Writer } from '../../../core/writer.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import { Feed } from '../../../dispatcher/feed/feed.ts';
import { readLedger } from '../../../dispatcher/ledger/ledger.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { LevelJournal } from '../../../journal/level-journal.ts';
import type { Journal } from '../../../core/journal.ts';
import { numbered, Sender } from '../../support/dispatch-kit.ts';
import { fastClock } from '../../support/fast-clock.ts';
import { until } from '../../support/until.ts';
import { damagedCopy, readStore, roleOf, type Damage, type StoreFiles } from './damage.ts';
import { layoutOf, mustSurvive, type BlobPlace } from './layout.ts';
import { newVerdict, OPEN_MS, within, type Verdict, type Victim } from './verdict.ts';

const WRITERS = ['well', 'away'] as const;
const DRAIN_MS = 20_000;
/** Loss notices come once a second: that is not what is waited for here. */
const CLOCK_FACTOR = 20;
const WRITE_BUFFER_BYTES = 1 << 16;
/** Long, so that a store of some size has few events to be judged. */
const TEXT = 'x'.repeat(700);
const BATCH = 10;
const SETTINGS = {
  filter: {},
  batch: { intervalMs: 0, eventsMax: 1000, bytesMax: 1 << 20 },
  retry: { policy: 'backoff', initialMs: 50, maxMs: 100 },
  backlog: { bytesMax: Infinity, ageMaxMs: Infinity, whenFull: 'drop-oldest' },
  notices: true,
  deadLettersMax: 1000,
  deadLetterBytesMax: 1 << 26,
  writeTimeoutMs: 500_000,
} as const;

/** A proxy's inside on a real store. */
class Site implements AsyncDisposable {
  readonly taken = new Map<string, Delivery[]>();
  journal!: Journal;
  dispatcher!: Dispatcher;
  readonly feeds: Feed[] = [];
  readonly #away: string | undefined;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(away: string | undefined) {
    this.#away = away;
  }

  static async open(directory: string, away?: string): Promise<Site> {
    const site = new Site(away);
    const clock = fastClock(CLOCK_FACTOR);
    site.journal = await LevelJournal.open(directory, {
      clock,
      stamp: { site: 's' },
      writeBufferBytes: WRITE_BUFFER_BYTES,
      recentBytes: 0,
      isWitnessed: true,
    });
    const dedup = { intervalMs: 24 * 3_600_000, windowsMax: 1000 };
    site.dispatcher = await Dispatcher.open(site.journal, { clock, random: Math.random, dedup, urgent: 'critical', node: 'host' });
    for (const name of WRITERS) site.feeds.push(await Feed.open(site.dispatcher, { ...SETTINGS, name, writer: site.#writer(name) }));
    site.#running = Promise.all([site.dispatcher.run(site.#stop.signal), ...site.feeds.map((feed) => feed.run(site.#stop.signal))]);
    return site;
  }

  #writer(name: string): Writer {
    const taken: Delivery[] = [];
    this.taken.set(name, taken);
    const write = async (batch: readonly Delivery[]): Promise<void> => {
      if (this.#away === name) throw new FondacoError('UNAVAILABLE', 'away');
      if (name === 'well' && batch.some(({ event }) => event.message.endsWith('13'))) throw new FondacoError('REJECTED', 'unlucky');
      taken.push(...batch);
      return Promise.resolve();
    };
    return { write };
  }

  /** Everything is delivered, all that is lost is told. */
  async drained(): Promise<boolean> {
    const isTold = (await this.journal.snapshot(['loss:'])).length === 0; // first: a notice that takes a row's place lies beyond the cursors
    const isBehind = this.feeds.some(
      (feed) => feed.settings.name !== this.#away && LANES.some((lane) => feed.lanes[lane].cursor < this.journal.head(lane)),
    );
    return isTold && !isBehind;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.journal.close();
  }
}

/** An entry of the store as it was. */
interface Known {
  readonly id: string;
  readonly kind: EntryKind;
  readonly message: string;
  readonly isSafe: (damages: readonly Damage[]) => boolean;
}

export class JournalVictim implements Victim {
  readonly sizes: ReadonlyMap<string, number>;
  readonly #store: StoreFiles;
  readonly #sender: Sender;
  readonly #sent: number;
  readonly #journalId: string;
  readonly #known = new Map<string, Known>();
  readonly #ids = new Map<string, string>();
  readonly #wellHas = new Map<string, string>();

  private constructor(store: StoreFiles, made: { sender: Sender; sent: number; journalId: string }) {
    this.#store = store;
    this.sizes = new Map(store.files.map(({ path, bytes }) => [path, bytes.length]));
    this.#sender = made.sender;
    this.#sent = made.sent;
    this.#journalId = made.journalId;
  }

  /** Makes the store, in `directory`. */
  static async make(directory: string, bytesMin: number): Promise<JournalVictim> {
    const original = join(directory, 'original');
    const sender = new Sender();
    let sent = 0;
    let journalId: string;
    let taken: readonly Delivery[];
    {
      await using site = await Site.open(original, 'away');
      journalId = site.journal.id;
      while (LANES.reduce((sum, lane) => sum + site.journal.bytes(lane), 0) < bytesMin || sent % (5 * BATCH) !== 0) {
        const at = sent % (5 * BATCH) === 4 * BATCH ? sent - 4 * BATCH : sent; // every fifth batch folds
        const severity = (sent / BATCH) % 4 === 1 ? 'critical' : 'info';
        await site.dispatcher.accept(sender.batch(sent, numbered(TEXT, at, at + BATCH - 1, { severity: at === sent ? severity : 'info' })));
        sent += BATCH;
      }
      await until('one of them has it all', () => site.drained(), DRAIN_MS);
      taken = site.taken.get('well')!;
    }
    const victim = new JournalVictim(readStore(original), { sender, sent, journalId });
    await victim.#learn(join(directory, 'layout'), taken);
    return victim;
  }

  async #learn(scratch: string, taken: readonly Delivery[]): Promise<void> {
    const blobs = await layoutOf(this.#store, scratch);
    damagedCopy(this.#store, scratch, []);
    const journal = await LevelJournal.open(scratch, { clock: fastClock(1), stamp: { site: 's' } });
    const placeOf = (lane: Lane, position: number): BlobPlace =>
      blobs.find((blob) => blob.lane === lane && blob.from <= position && position < blob.to)!;
    const messages = new Map(taken.map(({ event }) => [event.id, event.message]));
    for (const lane of LANES) {
      for (let position = 1; position < journal.head(lane);) {
        const { entries } = await journal.read(lane, position, 1 << 20);
        for (const entry of entries) {
          const id = `${entry.series}-${entry.seq}`;
          const place = placeOf(lane, entry.position);
          const message = /x{700} \d+/.exec(Buffer.from(entry.bytes).toString('latin1'))?.[0] ?? messages.get(id) ?? '';
          const isSafe = (damages: readonly Damage[]): boolean => mustSurvive(place, damages, this.sizes);
          this.#known.set(`${lane}/${entry.position}`, { id, kind: entry.kind, message, isSafe });
          this.#ids.set(id, message);
          position = entry.position + 1;
        }
      }
    }
    await journal.close();
    rmSync(scratch, { recursive: true });
    for (const delivery of taken) this.#wellHas.set(delivery.event.id, JSON.stringify(delivery));
  }

  async judge(damages: readonly Damage[], scratch: string): Promise<Verdict> {
    const verdict = newVerdict(this.#sent);
    damagedCopy(this.#store, scratch, damages);
    try {
      const told = await this.#first(damages, scratch, verdict);
      this.#judgeEvidence(damages, scratch, verdict, told);
      await this.#second(scratch, verdict);
    } catch (error) {
      verdict.wrong.push(String(error));
    }
    rmSync(scratch, { recursive: true, force: true });
    return verdict;
  }

  /** Opens it, lets the sender come back, drains both. True if anything was found damaged. */
  async #first(damages: readonly Damage[], directory: string, verdict: Verdict): Promise<boolean> {
    await using site = await within(OPEN_MS, 'opening', Site.open(directory));
    await this.#comeBack(site);
    const [well, away] = [site.taken.get('well')!, site.taken.get('away')!];
    await until('everything is on its way', () => site.drained(), DRAIN_MS);
    const ledger = await readLedger(site.journal);
    verdict.discrepancy += Math.abs(ledger.dedupDiscrepancy);
    for (const { lanes } of ledger.writers) for (const lane of LANES) verdict.discrepancy += Math.abs(lanes[lane].discrepancy);
    if (!ledger.isBalanced && verdict.discrepancy === 0) verdict.discrepancy = 1;
    this.#judgeWell(well, verdict);
    this.#judgeAway(damages, away, verdict, site.journal.id !== this.#journalId);
    return site.journal.salvaged.some((text) => !text.startsWith('row '));
  }

  /** The sender, which holds nothing any more, goes on behind what was settled. */
  async #comeBack({ dispatcher }: Site): Promise<void> {
    const batch = this.#sender.batch(this.#sent, numbered('after', 1, 1), { settled: this.#sent, settledBy: this.#journalId });
    let reply = await dispatcher.accept(batch);
    if (reply.expected !== undefined) reply = await dispatcher.accept({ ...batch, isGone: true });
    if (reply.settled !== this.#sent + 1) throw new Error(`its sender must be able to go on, got ${JSON.stringify(reply)}`);
  }

  #judgeWell(well: readonly Delivery[], verdict: Verdict): void {
    for (const delivery of well) {
      const before = this.#wellHas.get(delivery.event.id);
      if (before === undefined) continue;
      verdict.repeated++;
      const { delivery: first, ...event } = JSON.parse(before) as Delivery;
      const { delivery: again, ...same } = JSON.parse(JSON.stringify(delivery)) as Delivery;
      if (JSON.stringify(event) !== JSON.stringify(same) && first.series === again.series)
        verdict.wrong.push(`a repeat of ${delivery.event.id} is another`);
    }
    this.#judgeTruth(well, verdict);
  }

  /** Nothing false, nothing out of order. */
  #judgeTruth(deliveries: readonly Delivery[], verdict: Verdict): void {
    const last = new Map<string, number>();
    for (const { event, delivery } of deliveries) {
      const known = this.#ids.get(event.summarizes ?? event.id);
      if (known !== undefined && known !== event.message) verdict.wrong.push(`${event.id} says ${event.message.slice(-20)}`);
      if (known === undefined && !event.type.startsWith('fondaco.') && event.message !== 'after 1')
        verdict.wrong.push(`${event.id} was never recorded`);
      const key = `${delivery.lane}/${delivery.series}`;
      if (delivery.seq <= (last.get(key) ?? 0)) verdict.wrong.push(`${event.id} is out of order`);
      last.set(key, delivery.seq);
    }
  }

  #judgeAway(damages: readonly Damage[], away: readonly Delivery[], verdict: Verdict, isNewStore: boolean): void {
    this.#judgeTruth(away, verdict);
    const got = new Map<string, number>();
    for (const { event } of away) got.set(event.id, (got.get(event.id) ?? 0) + 1);
    const losses = away
      .filter(({ event }) => event.type === 'fondaco.Loss')
      .flatMap(({ event }) => (event.attributes as unknown as { losses: Loss[] }).losses);
    const isNamed = (kind: Loss['origin']['kind'], id: string, at: number): boolean =>
      losses.some(
        ({ origin, ranges }) => origin.kind === kind && origin.id === id && ranges.some(([first, last]) => first <= at && at <= last),
      );
    for (const [place, { id, kind, isSafe }] of this.#known) {
      const [lane, position] = place.split('/') as [string, string];
      const [series, seq] = [id.slice(0, 36), Number(id.slice(37))];
      const count = got.get(id) ?? 0;
      if (count > 1) verdict.wrong.push(`${id} came ${count} times`);
      const named = isNamed('writer', `away/${lane}`, Number(position)) || isNamed('series', series, seq);
      if (named) verdict.named++;
      if (count > 0 && named) verdict.wrong.push(`${id} came, and is named as lost`);
      if (kind !== 'accepted' || count > 0) continue;
      if (isSafe(damages)) verdict.wrong.push(`${id} at ${place} was whole, and did not come`);
      if (!named && !isNewStore) verdict.lost++;
      if (isNewStore) verdict.named++;
    }
    if (isNewStore && !away.some(({ event }) => event.type === 'fondaco.StoreMended'))
      verdict.wrong.push('a new store was begun without a word');
  }

  /** What was damaged is still there for people, unless it is what a cut left of a log. */
  #judgeEvidence(damages: readonly Damage[], directory: string, verdict: Verdict, isTold: boolean): void {
    const folders = readdirSync(directory).filter((name) => name.startsWith('db'));
    if (!isTold || (damages.length > 1 && folders.length > 1)) return; // a damaged blob in a table that is sound stays in the store
    for (const { file, kind } of damages) {
      if (roleOf(file) === 'CURRENT' || (kind === 'cut' && roleOf(file) === 'log')) continue;
      const name = file.slice(file.lastIndexOf('/') + 1);
      if (!folders.some((folder) => existsSync(join(directory, folder, name)) || existsSync(join(directory, folder, `damaged-${name}`))))
        verdict.wrong.push(`no evidence is left of ${file}`);
    }
  }

  /** Once mended, it is whole. */
  async #second(directory: string, verdict: Verdict): Promise<void> {
    await using site = await within(OPEN_MS, 'a second opening', Site.open(directory));
    if (site.dispatcher.mended.length > 0) verdict.wrong.push(`the second opening mends: ${site.dispatcher.mended.join('; ')}`);
    await until('the second time, everything is on its way', () => site.drained(), DRAIN_MS);
    const again = [...site.taken.values()].flat().filter(({ event }) => event.revision === 0);
    if (again.length > 0) verdict.wrong.push(`the second opening delivers ${again.length} more, such as ${again[0]!.event.type}`);
    if (!(await readLedger(site.journal)).isBalanced) verdict.discrepancy++;
  }
}
