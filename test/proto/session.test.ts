import { assert } from 'chai';
import { uuidV7Bytes } from '../../core/uuid.ts';
import { frameEvents } from '../../proto/batch-codec.ts';
import { Bell } from '../../core/bell.ts';
import { SendWindow } from '../../proto/send-window.ts';
import { runSession, type Cut, type CutLimits, type LinkState, type OutgoingSeries } from '../../proto/session.ts';
import { eventually, FakeClock, settle } from '../support/fake-clock.ts';
import { ScriptedProxy } from '../support/scripted-proxy.ts';

describe('proto/session', () => {
  let proxies: ScriptedProxy[] = [];
  let sessions: { stop: AbortController; done: Promise<void> }[] = [];

  afterEach(async () => {
    for (const { stop, done } of sessions) {
      stop.abort();
      await done;
    }
    for (const proxy of proxies) proxy.stop();
    proxies = [];
    sessions = [];
  });

  async function proxy(): Promise<ScriptedProxy> {
    const started = await ScriptedProxy.start();
    proxies.push(started);
    return started;
  }

  function run(addresses: readonly string[], series: readonly Numbers[], random = () => 0.5) {
    const clock = new FakeClock();
    const bell = new Bell();
    const links: string[] = [];
    const stop = new AbortController();
    const onLink = (link: LinkState, address: string): void => void links.push(`${link.state} ${addresses.indexOf(address)}`);
    const sender = { node: 'n', component: 'c' };
    const done = runSession({ proxies: addresses, sender, series: () => series, bell, clock, random, onLink }, stop.signal);
    sessions.push({ stop, done });
    return { clock, bell, links };
  }

  it('keeps at most 64 batches and 4 MiB on their way', async () => {
    const silent = await proxy();
    silent.script = () => 'hang';
    const many = new Numbers('normal', 100_000);
    run([silent.address], [many]);
    await eventually(() => many.window.inFlight === 64, 'the window is full');
    const large = await proxy();
    large.script = (_, index) => (index < 200 ? 'take' : 'hang');
    const big = new Numbers('normal', 100_000, 300 * 1024);
    run([large.address], [big]);
    await eventually(() => big.window.settled === 200 && big.window.inFlight >= 14, 'the other window is full');
    await settle();
    assert.strictEqual(big.window.inFlight, 14);
  });

  it('sends urgent series first, and lets the others move', async () => {
    const taking = await proxy();
    const [urgent, normal] = [new Numbers('urgent', 10), new Numbers('normal', 10)];
    run([taking.address], [urgent, normal]);
    await eventually(() => urgent.window.settled === 10 && normal.window.settled === 10, 'both are settled');
    const lanes = taking.batches.map((batch) => (batch.lane === 'urgent' ? 'u' : 'n')).join('');
    assert.strictEqual(lanes.slice(0, 15), 'uuuunuuuunuunnn');
  });

  it('names itself in the first batch of a stream only', async () => {
    const taking = await proxy();
    const numbers = new Numbers('normal', 3);
    run([taking.address], [numbers]);
    await eventually(() => numbers.window.settled === 3, 'they are settled');
    assert.deepEqual(
      taking.batches.map((batch) => batch.sender.component),
      ['c', '', ''],
    );
  });

  it('gives up a proxy that says nothing for 10 s, and goes on at the next', async () => {
    const [silent, taking] = [await proxy(), await proxy()];
    silent.script = () => 'hang';
    const numbers = new Numbers('normal', 5);
    const { clock, links } = run([silent.address, taking.address], [numbers]);
    await eventually(() => silent.batches.length > 0 && numbers.window.inFlight === 5, 'everything is on its way');
    await clock.advance(9_000);
    assert.deepEqual(links, ['connecting 0']);
    await clock.advance(1_000);
    await eventually(() => numbers.window.settled === 5, 'the other has settled');
    assert.deepEqual(links, ['connecting 0', 'down 0', 'connecting 1', 'up 1']);
  });

  it('does not give up a proxy that goes on answering, however old what it answers is', async () => {
    const busy = await proxy();
    busy.script = () => 'take-later';
    const numbers = new Numbers('normal', 20);
    const { clock, links } = run([busy.address], [numbers]);
    await eventually(() => busy.batches.length === 20, 'everything is on its way');
    for (let settled = 1; settled <= 20; settled++) {
      await clock.advance(2_000);
      busy.answer();
      await eventually(() => numbers.window.settled === settled, `${settled} are settled`);
    }
    assert.deepEqual(links, ['connecting 0', 'up 0']);
  });

  it('gives a proxy that is slow less of the normal lane, and urgent ones all the same', async () => {
    const busy = await proxy();
    busy.script = () => 'take-later';
    const [urgent, normal] = [new Numbers('urgent', 0), new Numbers('normal', 1_000, 100 * 1024)];
    const { clock, bell } = run([busy.address], [urgent, normal]);
    await eventually(() => busy.batches.length === 3, 'what is sent at first is on its way');
    urgent.last = 2;
    bell.ring();
    await eventually(() => busy.batches.length === 5, 'the urgent ones are on their way');
    for (let answered = 1; answered <= 10; answered++) {
      await clock.advance(1_000);
      busy.answer();
      await eventually(() => busy.batches.length === 5 + normal.window.settled, 'one for each that is answered');
      await settle();
      assert.strictEqual(normal.window.inFlight, 3);
    }
    busy.script = () => 'take';
    while (busy.answer());
    await eventually(() => normal.window.settled > 100, 'it is quick again');
  });

  it('sends less at a time where nothing of it is answered, until a narrow link is wide enough', async () => {
    const narrow = await proxy();
    narrow.script = ({ events }) => (events.length > 20 ? 'hang' : 'take');
    const numbers = new Numbers('normal', 1_000, 1024, 1_000);
    const { clock, links } = run([narrow.address], [numbers]);
    for (let failures = 0; failures < 3; failures++) {
      await eventually(() => narrow.batches.length > 0 && numbers.window.inFlight > 0, 'a batch is on its way');
      narrow.batches.length = 0;
      await clock.advance(10_000);
      await eventually(() => links.filter((link) => link === 'down 0').length > failures || links.includes('up 0'), 'it fails, or is up');
      await clock.advance(5_000);
    }
    await eventually(() => numbers.window.settled > 0, 'some are settled');
    assert.isAtMost(Math.max(...narrow.batches.map(({ events }) => events.length)), 40);
  });

  it('tries all proxies, then waits, longer each time, with jitter, and begins again after a success', async () => {
    const [one, two] = [await proxy(), await proxy()];
    one.stop();
    two.stop();
    const numbers = new Numbers('normal', 1);
    const { clock, links, bell } = run([one.address, two.address], [numbers], () => 1 - 1e-9);
    const waits: number[] = [];
    for (let round = 1; round <= 8; round++) {
      await eventually(() => links.filter((link) => link.startsWith('down')).length === round * 2 && clock.sleeping > 0, 'both were tried');
      waits.push(clock.nextMs!);
      await clock.advance(clock.nextMs!);
    }
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    await eventually(() => clock.sleeping > 0 && clock.nextMs === 5_000, 'it waits');
    await one.start();
    await clock.advance(5_000);
    await eventually(() => numbers.window.settled === 1, 'it is settled');
    one.stop();
    links.length = 0;
    numbers.last = 2;
    bell.ring();
    await eventually(() => links.filter((link) => link.startsWith('down')).length >= 2 && clock.nextMs === 100, 'it began again');
  });

  it('waits before it tries a throttled series again, and no longer than it was asked to', async () => {
    const full = await proxy();
    full.script = (_, index) => (index === 0 ? { throttleMs: 700 } : 'take');
    const numbers = new Numbers('normal', 1);
    const { clock } = run([full.address], [numbers]);
    await eventually(() => clock.nextMs === 700, 'it waits');
    await clock.advance(699);
    assert.lengthOf(full.batches, 1);
    await clock.advance(1);
    await eventually(() => numbers.window.settled === 1, 'it is settled');
  });

  it('half-closes the stream after half a second with nothing to do, and opens another for more', async () => {
    const taking = await proxy();
    const numbers = new Numbers('normal', 1);
    const { clock, bell, links } = run([taking.address], [numbers]);
    await eventually(() => numbers.window.settled === 1 && clock.nextMs === 500, 'it lingers');
    assert.strictEqual(taking.openStreams, 1);
    await clock.advance(500);
    await eventually(() => taking.openStreams === 0, 'the stream has ended');
    numbers.last = 2;
    bell.ring();
    await eventually(() => numbers.window.settled === 2, 'the next is settled');
    assert.strictEqual(taking.streams, 2);
    assert.deepEqual(links, ['connecting 0', 'up 0', 'up 0'], 'over the same connection');
  });

  it('treats a disk that cannot be read as a failed link: tries again later', async () => {
    const taking = await proxy();
    const numbers = new Numbers('normal', 1);
    let failures = 1;
    numbers.fault = () => (failures-- > 0 ? new Error('EIO') : undefined);
    const { clock, links } = run([taking.address], [numbers]);
    await eventually(() => links.includes('down 0') && clock.sleeping > 0, 'it has failed');
    await clock.advance(100);
    await eventually(() => numbers.window.settled === 1, 'it is settled');
  });

  it('leaves a series alone that cannot be read now, over the end of its stream, and sends the others', async () => {
    const taking = await proxy();
    const [parked, other] = [new Numbers('urgent', 2), new Numbers('normal', 3)];
    parked.parkMs = 5_000;
    const { clock, bell, links } = run([taking.address], [parked, other]);
    parked.clock = clock;
    await eventually(() => other.window.settled === 3, 'the other is settled');
    assert.strictEqual(parked.reads, 1);
    await clock.advance(1_000);
    await eventually(() => taking.openStreams === 0, 'the stream has ended');
    other.last = 4;
    bell.ring();
    await eventually(() => other.window.settled === 4, 'the other goes on');
    await clock.advance(3_999);
    assert.strictEqual(parked.reads, 1, 'nothing spins');
    parked.parkMs = 0;
    await clock.advance(1);
    await eventually(() => parked.window.settled === 2, 'it is read again by itself');
    assert.deepEqual(links, ['connecting 0', 'up 0', 'up 0', 'up 0']);
  });

  it('opens no stream for what cannot be read, and waits for a ring where there is no moment', async () => {
    const taking = await proxy();
    const numbers = new Numbers('normal', 1);
    numbers.readableAtMs = Number.POSITIVE_INFINITY;
    const { clock, bell } = run([taking.address], [numbers]);
    await clock.advance(60_000);
    assert.deepEqual([taking.streams, numbers.reads, clock.sleeping], [0, 0, 0]);
    numbers.readableAtMs = 0;
    bell.ring();
    await eventually(() => numbers.window.settled === 1, 'it is settled');
  });

  it('gives up a link whose replies are of another series', async () => {
    const wrong = await proxy();
    const numbers = new Numbers('normal', 1);
    const take = wrong.model.take.bind(wrong.model);
    let isWrong = true;
    wrong.model.take = (batch) => ({ ...take(batch), ...(isWrong ? { series: Buffer.alloc(16) } : {}) });
    const { clock, links } = run([wrong.address], [numbers]);
    await eventually(() => links.includes('down 0') && clock.sleeping > 0, 'it has failed');
    isWrong = false;
    await clock.advance(100);
    await eventually(() => numbers.window.settled === 1, 'it is settled');
  });
});

/** A series of events `1`, `2`, …, made when they are read; one a batch unless told. */
class Numbers implements OutgoingSeries {
  readonly window: SendWindow;
  last: number;
  fault: () => Error | undefined = () => undefined;
  clock: FakeClock | undefined;
  readableAtMs = 0;
  /** Reads find nothing, for so long. */
  parkMs = 0;
  reads = 0;
  readonly #bytes: number;
  readonly #perBatch: number;

  constructor(lane: 'urgent' | 'normal', last: number, bytes = 1, perBatch = 1) {
    this.window = new SendWindow({ series: uuidV7Bytes(0), lane });
    this.last = last;
    this.#bytes = bytes;
    this.#perBatch = perBatch;
  }

  get hasMore(): boolean {
    return this.window.sent < this.last;
  }

  read({ bytesMax }: CutLimits): Cut | undefined | Promise<Cut> {
    if (!this.hasMore) return undefined;
    this.reads++;
    if (this.parkMs > 0) {
      this.readableAtMs = (this.clock?.monotonic() ?? 0) + this.parkMs;
      return undefined;
    }
    const fault = this.fault();
    if (fault) return Promise.reject(fault);
    const first = this.window.sent + 1;
    const count = Math.max(1, Math.min(this.#perBatch, this.last - this.window.sent, Math.floor(bytesMax / this.#bytes)));
    const events = Array.from({ length: count }, (_, i) => Buffer.from(`${first + i}`.padEnd(this.#bytes)));
    return { last: first + count - 1, events: frameEvents(events), lost: [] };
  }

  replied(): void {}
}
