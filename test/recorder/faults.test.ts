import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import fc from 'fast-check';
import { FondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { MemoryJournal, MemoryStorage, type WriteFate } from '../../journal/memory-journal.ts';
import type { Recorder } from '../../recorder/index.ts';
import { fastClock } from '../support/fast-clock.ts';
import { assertBalanced, recordMany, RecorderKit } from '../support/recorder-kit.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { until } from '../support/until.ts';

const kit = new RecorderKit();

/** Spools on simulated disks, one per directory, whose writes have a fate. */
class Disks {
  readonly storages = new Map<string, MemoryStorage>();
  readonly #held = new Set<string>();
  readonly clock = fastClock(50);
  fate: () => WriteFate = () => 'taken';
  openingsToFail = 0;

  readonly open = async (directory: string): Promise<Journal> => {
    if (this.#held.has(directory)) throw new FondacoError('UNAVAILABLE', 'held', { isHeld: true });
    if (this.openingsToFail > 0) {
      this.openingsToFail--;
      throw new FondacoError('UNAVAILABLE', 'an I/O error');
    }
    await mkdir(directory, { recursive: true });
    const storage = this.storages.get(directory) ?? new MemoryStorage();
    storage.fate = () => this.fate();
    this.storages.set(directory, storage);
    const journal = await MemoryJournal.open({ clock: this.clock, stamp: { site: '' }, storage, recentBytes: 0 });
    this.#held.add(directory);
    const close = journal.close.bind(journal);
    journal.close = async () => {
      await close();
      this.#held.delete(directory);
    };
    return journal;
  };

  get parts() {
    return { clock: this.clock, random: () => 0, openJournal: this.open };
  }
}

/** What flush() waits for, without its limit: these clocks run 50 times as fast, and its ten seconds are 200 ms of a loaded machine. */
async function durable(recorder: Recorder): Promise<void> {
  await until('nothing is in memory only', () => recorder.status().ledger.queued === 0);
}

describe('recorder, with faults', function () {
  this.timeout(60_000);
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('keeps in memory what a disk did not take, reports that once, and spills it when the disk works again', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const recorder = await kit.open(proxy, {}, disks.parts);
    recordMany(recorder, 1, 10);
    await durable(recorder);
    disks.fate = () => 'failed';
    recordMany(recorder, 11, 20);
    await until('the disk has failed', () => kit.errors.some(({ text }) => !text.startsWith('proxy')));
    assert.deepInclude(recorder.status().ledger, { spooled: 10, queued: 10 });
    disks.fate = () => 'taken';
    await until('it is spooled', () => recorder.status().ledger.spooled === 20);
    await proxy.start();
    await until('it is settled', () => recorder.status().ledger.settled === 20);
    assert.deepEqual(proxy.messages, names(1, 20));
  });

  it('waits with its own events for an older life that does not open at once', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const first = await kit.open(proxy, {}, disks.parts);
    recordMany(first, 1, 10);
    await durable(first);
    await first.close();
    await proxy.start();
    disks.openingsToFail = 2;
    const later = await kit.open(proxy, {}, disks.parts);
    recordMany(later, 11, 20);
    await until('everything is settled', () => later.status().older.lives === 0 && later.status().ledger.settled === 10);
    assert.deepEqual(proxy.messages, names(1, 20));
  });

  it('sends what earlier lives left in the order of the lives, also where the wall clock was set back between them', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const hours = [0, -13, 5, -200_000];
    for (const [life, offset] of hours.entries()) {
      const clock = { ...disks.clock, now: () => Date.UTC(2026, 10, 22) + offset * 3_600_000 };
      const recorder = await kit.open(proxy, {}, { ...disks.parts, clock });
      recordMany(recorder, life * 10 + 1, life * 10 + 10);
      await durable(recorder);
      await recorder.close();
    }
    await proxy.start();
    const later = await kit.open(proxy, {}, disks.parts);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(proxy.messages, names(1, 40));
  });

  it('sends nothing twice when a failed write was stored after all', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const first = await kit.open(proxy, {}, disks.parts);
    let writes = 0;
    disks.fate = () => (++writes === 3 || writes === 5 ? 'failed-but-stored' : 'taken');
    for (let n = 0; n < 6; n++) {
      recordMany(first, n * 10 + 1, n * 10 + 10);
      await until('it is spooled', () => first.status().ledger.queued === 0);
    }
    await first.close();
    disks.fate = () => 'taken';
    await proxy.start();
    const later = await kit.open(proxy, {}, disks.parts);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(proxy.messages, names(1, 60));
    assert.deepEqual(proxy.model.lost, []);
  });

  it('declares exactly what is missing from a damaged spool, and delivers the rest', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const first = await kit.open(proxy, {}, disks.parts);
    for (let n = 0; n < 3; n++) {
      recordMany(first, n * 10 + 1, n * 10 + 10);
      await durable(first);
    }
    await first.close();
    for (const storage of disks.storages.values()) damage(storage, 1);
    await proxy.start();
    const later = await kit.open(proxy, {}, disks.parts);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(proxy.messages, [...names(1, 10), ...names(21, 30)]);
    assert.deepEqual(
      proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
      [{ range: { first: 11, last: 20 }, cause: 'corrupt' }],
    );
  });

  it('declares a lost tail by the row that tells how far the spool went', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const first = await kit.open(proxy, {}, disks.parts);
    for (let n = 0; n < 3; n++) {
      recordMany(first, n * 10 + 1, n * 10 + 10);
      await durable(first);
    }
    await first.close();
    for (const storage of disks.storages.values()) damage(storage, 2);
    await proxy.start();
    const later = await kit.open(proxy, {}, disks.parts);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(proxy.messages, names(1, 20));
    assert.deepEqual(
      proxy.model.lost.map(({ range }) => range),
      [{ first: 21, last: 30 }],
    );
  });

  it('sends nothing of what was declared lost and not cleared yet when the process ended', async () => {
    const proxy = await kit.nobody();
    const disks = new Disks();
    const first = await kit.open(proxy, {}, disks.parts);
    recordMany(first, 1, 10);
    await first.close();
    for (const storage of disks.storages.values()) {
      const journal = await MemoryJournal.open({ clock: disks.clock, stamp: { site: '' }, storage });
      const row = (await journal.row('series/normal')) as object;
      await journal.commit((draft) => draft.put('series/normal', () => ({ ...row, lost: [{ first: 3, last: 7, cause: 'spool-full' }] })));
      await journal.close();
    }
    await proxy.start();
    const later = await kit.open(proxy, {}, disks.parts);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(
      proxy.events.map(({ id, message }) => `m${id.split('-').at(-1)} ${message}`),
      [1, 2, 8, 9, 10].map((n) => `m${n} m${n}`),
    );
    assert.deepEqual(
      proxy.model.lost.map(({ range }) => range),
      [{ first: 3, last: 7 }],
    );
  });

  it('delivers everything once and in order, and balances, whatever happens on the way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        await kit.end();
        await kit.start();
        await new Run(await kit.proxy()).play(steps);
      }),
      { numRuns: 8 },
    );
  });
});

const DEEDS = [
  'record',
  'record',
  'record',
  'recordUrgent',
  'stop',
  'start',
  'loseReply',
  'throttle',
  'failWrite',
  'flush',
  'reopen',
  'wait',
] as const;
const step = fc.record({ does: fc.constantFrom(...DEEDS), n: fc.integer({ min: 1, max: 400 }) });
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly #proxy: ScriptedProxy;
  readonly #disks = new Disks();
  readonly #expected = { urgent: [] as string[], normal: [] as string[] };
  #recorder!: Recorder;
  #isUp = true;
  #next = 0;

  constructor(proxy: ScriptedProxy) {
    this.#proxy = proxy;
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.reopen();
    for (const { does, n } of steps) {
      await this[does](n);
      assertBalanced(this.#recorder.status());
    }
    await this.start();
    this.#proxy.script = () => 'take';
    this.#disks.fate = () => 'taken';
    const { lanes } = this.#recorder.status();
    const all = lanes.urgent.recorded + lanes.normal.recorded;
    const isDone = (): boolean => this.#recorder.status().older.lives === 0 && this.#recorder.status().ledger.settled === all;
    await until(`all is settled`, isDone, 20_000).catch((error: unknown) => {
      throw new Error(`${String(error)} ${JSON.stringify(this.#recorder.status())}`);
    });
    // A later life finds nothing to send, and clears up what a failed opening may have left.
    await this.reopen();
    await until('nothing is left', () => this.#recorder.status().older.lives === 0);
    await this.#recorder.close();
    for (const lane of ['urgent', 'normal'] as const) {
      const got = this.#proxy.model.stored.flatMap((event, index) => (event.lane === lane ? [this.#proxy.messages[index]!] : []));
      if (got.length < 3000) assert.deepEqual(got, this.#expected[lane], lane);
      else assert.strictEqual(got.join(), this.#expected[lane].join(), lane);
    }
    assert.deepEqual(this.#proxy.model.lost, []);
    assert.deepEqual(await readdir(join(kit.directory, 'cmd')), []);
  }

  record(n: number, lane: 'urgent' | 'normal' = 'normal'): void {
    for (let i = 0; i < n; i++) {
      const message = `m${++this.#next}`;
      this.#recorder.event('test.Numbered', lane === 'urgent' ? 'critical' : 'info', message);
      this.#expected[lane].push(message);
    }
  }

  recordUrgent(n: number): void {
    this.record(Math.ceil(n / 20), 'urgent');
  }

  stop(): void {
    if (this.#isUp) this.#proxy.stop();
    this.#isUp = false;
  }

  async start(): Promise<void> {
    if (!this.#isUp) await this.#proxy.start();
    this.#isUp = true;
  }

  loseReply(n: number): void {
    const from = this.#proxy.batches.length + (n % 4);
    this.#proxy.script = (_, index) => (index === from ? 'lose-reply' : index === from + 3 ? 'die' : 'take');
  }

  throttle(n: number): void {
    const from = this.#proxy.batches.length;
    this.#proxy.script = (_, index) => (index >= from && index <= from + (n % 3) ? { throttleMs: n } : 'take');
  }

  failWrite(n: number): void {
    let left = 1 + (n % 2);
    this.#disks.fate = () => (left-- > 0 ? (n % 3 === 0 ? 'failed' : 'failed-but-stored') : 'taken');
  }

  async flush(): Promise<void> {
    this.#disks.fate = () => 'taken';
    await durable(this.#recorder);
  }

  async wait(n: number): Promise<void> {
    await this.#disks.clock.sleep(n);
  }

  /** A life ends in good order, with what it has, and another begins. */
  async reopen(): Promise<void> {
    this.#disks.fate = () => 'taken';
    if (this.#recorder as Recorder | undefined) await this.#recorder.close();
    this.#recorder = await kit.open(this.#proxy, {}, this.#disks.parts);
  }
}

/** Flips a byte in the blob of entries with that index. */
function damage(storage: MemoryStorage, index: number): void {
  const blobs = storage.range(Buffer.from('e'), Buffer.from('f')).filter(([key]) => key.length > 2);
  const [key, value] = blobs[index]!;
  const damaged = Buffer.from(value);
  damaged[damaged.length - 5]! ^= 1;
  storage.apply([{ key, value: damaged }]);
}

function names(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `m${first + i}`);
}
