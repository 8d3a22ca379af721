import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemClock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { Feed } from '../../dispatcher/feed/feed.ts';
import { readLedger } from '../../dispatcher/ledger/ledger.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { numbered, Sender } from '../support/dispatch-kit.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const FLIPS = Number(process.env.FONDACO_FLIPS ?? 200);
const SETTINGS = {
  filter: {},
  batch: { intervalMs: 0, eventsMax: 100, bytesMax: 1 << 20 },
  retry: { policy: 'backoff', initialMs: 50, maxMs: 100 },
  backlog: { bytesMax: Infinity, ageMaxMs: Infinity, whenFull: 'drop-oldest' },
  notices: true,
  deadLettersMax: 1000,
  deadLetterBytesMax: 1 << 26,
  writeTimeoutMs: 5000,
} as const;

/** A proxy's inside on a real store: two destinations, one of which was away. */
class Site implements AsyncDisposable {
  readonly taken = new Map<string, Delivery[]>();
  readonly away = new Set<string>();
  dispatcher!: Dispatcher;
  readonly feeds: Feed[] = [];
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  static async open(directory: string, away: readonly string[] = []): Promise<Site> {
    const site = new Site();
    for (const name of away) site.away.add(name);
    const clock = systemClock();
    const journal = await LevelJournal.open(directory, { clock, stamp: { site: 's' }, writeBufferBytes: 1 << 16, recentBytes: 0 });
    const dedup = { intervalMs: 60_000, windowsMax: 1000 };
    site.dispatcher = await Dispatcher.open(journal, { clock, random: Math.random, dedup, urgent: 'critical', node: 'host' });
    for (const name of ['well', 'away'])
      site.feeds.push(await Feed.open(site.dispatcher, { ...SETTINGS, name, writer: site.#writer(name) }));
    site.#running = Promise.all([site.dispatcher.run(site.#stop.signal), ...site.feeds.map((feed) => feed.run(site.#stop.signal))]);
    return site;
  }

  #writer(name: string): Writer {
    this.taken.set(name, []);
    const write = async (batch: readonly Delivery[]): Promise<void> => {
      if (this.away.has(name)) throw new FondacoError('UNAVAILABLE', 'away');
      if (batch.some(({ event }) => event.message.endsWith('13'))) throw new FondacoError('REJECTED', 'unlucky');
      this.taken.get(name)!.push(...batch);
    };
    return { write };
  }

  async drained(): Promise<boolean> {
    const { writers } = await readLedger(this.dispatcher.journal);
    return writers.every(({ name, lanes }) => this.away.has(name) || lanes.urgent.pending + lanes.normal.pending === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.dispatcher.journal.close();
  }
}

describe('a store with a flipped bit', function () {
  this.timeout(300_000);
  let folder: { path: string; remove: () => Promise<void> };
  let original: string;
  const recorded = new Set<string>();

  before(async () => {
    folder = await tempDirectory();
    original = join(folder.path, 'original');
    await using site = await Site.open(original, ['away']);
    const sender = new Sender();
    for (let at = 0; at < 1200; at += 20) {
      const events = numbered(`e${'x'.repeat(80)}`, at % 400, (at % 400) + 19); // the second and third time they fold
      for (const event of events) recorded.add(String(event.message));
      await site.dispatcher.accept(sender.batch(at, events));
    }
    await until('one of them has it all', () => site.drained(), 20_000);
  });

  after(() => folder.remove());

  it(`opens at ${FLIPS} places, delivers nothing that is false, counts what is missing, and balances`, async () => {
    const names = (await readdir(join(original, 'db'))).filter((name) => !name.startsWith('LO')).sort();
    const bytes = await Promise.all(names.map(async (name) => (await stat(join(original, 'db', name))).size));
    const total = bytes.reduce((sum, size) => sum + size, 0);
    const outcomes = { whole: 0, told: 0 };
    const copy = join(folder.path, 'copy');
    for (let flip = 0; flip < FLIPS; flip++) {
      let at = Math.floor((total * flip) / FLIPS) + (flip % 7);
      let file = 0;
      while (at >= bytes[file]!) at -= bytes[file++]!;
      await rm(copy, { recursive: true, force: true });
      await cp(original, copy, { recursive: true });
      const content = await readFile(join(copy, 'db', names[file]!));
      content[at]! ^= 1 << (flip % 8);
      await writeFile(join(copy, 'db', names[file]!), content);
      const what = `bit ${flip % 8} of byte ${at} of ${names[file]}`;

      await using site = await Site.open(copy);
      await until(`${what}: everything is on its way`, () => site.drained(), 20_000);
      const ledger = await readLedger(site.dispatcher.journal);
      expect(ledger, `${what}: ${JSON.stringify(ledger)}`).to.include({ isBalanced: true });
      for (const [name, taken] of site.taken) {
        const own = taken.filter(({ event }) => !event.type.startsWith('fondaco.'));
        for (const { event } of own) expect(recorded.has(event.message), `${what}: ${name} got ${event.message}`).to.equal(true);
      }
      const { lanes } = ledger.writers.find(({ name }) => name === 'away')!;
      const { delivered, dead, dropped } = lanes.normal;
      expect(delivered + dead, what).to.be.at.most(400 + ledger.made.normal); // with summaries and reports
      const isTold = site.taken.get('away')!.some(({ event }) => event.type === 'fondaco.Loss' || event.type === 'fondaco.StoreMended');
      if (dropped > 0 || delivered + dead < 400) {
        await until(
          `${what}: it is told`,
          () => site.taken.get('away')!.some(({ event }) => /^fondaco\.(Loss|StoreMended)$/.test(event.type)),
          5000,
        );
        outcomes.told++;
      } else if (!isTold) outcomes.whole++;
    }
    expect(outcomes.told, JSON.stringify(outcomes)).to.be.above(FLIPS / 10);
  });
});
