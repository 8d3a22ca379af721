import { assert } from 'chai';
import { connect } from 'node:net';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { EventSourceReader } from '../../support/event-source.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { SurfaceKit, type SurfaceKitOptions } from '../../support/surface-kit.ts';
import { until } from '../../support/until.ts';

const event = (message: string, more: object = {}): object => ({ type: 'disk.Full', severity: 'error', message, ...more });

/** Counts those who sleep for a certain time. */
class WatchedClock extends FakeClock {
  watched = 0;
  readonly #ms: number;

  constructor(ms: number) {
    super();
    this.#ms = ms;
  }

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms === this.#ms) this.watched++;
    await super.sleep(ms, signal);
    if (ms === this.#ms) this.watched--;
  }
}

describe('GET /v1/events/stream', () => {
  let kit: SurfaceKit;
  const readers: EventSourceReader[] = [];

  async function open(options: SurfaceKitOptions = {}): Promise<void> {
    kit = await SurfaceKit.open({ storage: new MemoryStorage(), ...options });
  }
  async function read(query = '', lastEventId?: string): Promise<EventSourceReader> {
    const reader = await EventSourceReader.open(`${kit.url}/v1/events/stream${query}`, lastEventId);
    readers.push(reader);
    await until('it begins', () => reader.blocks.length > 0);
    return reader;
  }
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.close();
    await kit.stop();
  });

  it('gives what comes from now on, as history shows it', async () => {
    await open();
    await kit.post(event('before'));
    const reader = await read();
    assert.deepInclude(reader.answer.headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    assert.deepEqual(reader.blocks, [{ retry: '1000', id: 'u1.n2' }]);
    await kit.post([event('one'), event('two', { severity: 'critical' })]);
    await until('both came', () => reader.messages.length === 2);
    assert.sameMembers(reader.messages, ['one', 'two']);
    assert.equal(reader.lastId, 'u2.n3');
    const { body } = await kit.ask<{ events: unknown[] }>('/v1/events?limit=2&lane=urgent');
    assert.deepEqual(
      body.events,
      reader.events.filter(({ lane }) => lane === 'urgent'),
    );
  });

  it('gives only what is wanted', async () => {
    await open();
    const reader = await read('?type=disk.*&minSeverity=error&node=n1');
    await kit.post([
      event('no', { severity: 'info', source: { node: 'n1' } }),
      event('no'),
      event('no', { type: 'x.Y', source: { node: 'n1' } }),
    ]);
    await kit.post(event('yes', { source: { node: 'n1' } }));
    await until('it came', () => reader.messages.length === 1);
    assert.deepEqual(reader.messages, ['yes']);
  });

  it('misses nothing and repeats nothing for a reader that comes back with its last id, again and again', async function () {
    this.timeout(20_000);
    await open();
    const posted: string[] = [];
    let isOver = false;
    const posting = (async () => {
      for (let i = 0; !isOver; i++) {
        const names = Array.from({ length: 5 }, (_, k) => `${i}/${k}`);
        await kit.post(names.map((name, k) => event(name, k === 2 ? { severity: 'critical' } : {})));
        posted.push(...names);
      }
    })();
    const seen: string[] = [];
    let lastId: string | undefined;
    for (let life = 0; life < 10; life++) {
      const reader = await read('', lastId ?? 'u1.n1');
      await until('some came', () => reader.messages.length >= 5 + life * 5);
      seen.push(...reader.messages);
      ({ lastId } = reader);
      reader.close();
    }
    isOver = true;
    await posting;
    const last = await read('', lastId);
    await until('all came', () => seen.length + last.messages.length >= posted.length);
    seen.push(...last.messages);
    assert.sameMembers(seen, posted);
    assert.equal(new Set(seen).size, seen.length);
  });

  it('remembers a place also where nothing was wanted', async () => {
    const clock = new FakeClock();
    await open({ clock });
    const reader = await read('?type=none.*');
    await kit.post([event('one'), event('two')]);
    await settle(50);
    await clock.advance(15_000);
    await until('a sign of life came', () => reader.comments.length > 0);
    assert.deepEqual(reader.blocks.at(-1), { comment: 'still here', id: 'u1.n3' });
    await clock.advance(15_000);
    await until('another came', () => reader.comments.length > 1);
    assert.deepEqual(reader.blocks.at(-1), { comment: 'still here' });
  });

  it('names what is trimmed below a place, and goes on behind it', async () => {
    await open();
    await kit.post([event('one'), event('two'), event('three')]);
    await kit.journal.trim('normal', 3);
    const reader = await read('', 'u1.n1');
    await until('it came', () => reader.messages.length === 1);
    assert.deepEqual(reader.blocks.slice(1, 2), [{ event: 'missing', id: 'u1.n3', data: '{"lane":"normal","first":1,"last":2}' }]);
    assert.deepEqual(reader.messages, ['three']);
  });

  it('begins at the end for a place that is beyond it, and says so', async () => {
    await open();
    await kit.post(event('one'));
    const reader = await read('', 'u1.n99');
    assert.deepInclude(reader.blocks[0], { id: 'u1.n2', comment: 'u1.n99 is beyond the journal; from its end on' });
    await kit.post(event('two'));
    await until('it came', () => reader.messages.length === 1);
  });

  it('ends a reader that takes nothing, says why, and harms no other', async () => {
    const stallMs = 7000;
    const clock = new WatchedClock(stallMs);
    await open({ clock, streams: { streamsMax: 100, heartbeatMs: 15_000, stallMs } });
    const { port } = kit.surface.address as { port: number };
    const slow = connect(port, '127.0.0.1');
    slow.on('error', () => {});
    slow.pause();
    slow.write('GET /v1/events/stream HTTP/1.1\r\nhost: x\r\n\r\n');
    const quick = await read();
    const begun = quick.blocks.length;
    const big = Array.from({ length: 100 }, (_, i) => event(String(i), { attributes: { text: 'x'.repeat(30_000) } }));
    // How much it takes until the slow one's buffers are full is the kernel's to say.
    let posts = 0;
    while (posts < 40 && clock.watched === 0) {
      posts++;
      await kit.post(big.map((each, i) => ({ ...each, message: `${posts}/${i}` })));
      await until('the quick one has all', () => quick.blocks.length === begun + posts * 100, 20_000);
    }
    assert.lengthOf(quick.messages, posts * 100);
    await until('only the slow one is waited for', () => clock.watched === 1);
    await clock.advance(stallMs + 1000);
    await clock.advance(2000);
    const closed = new Promise((resolve) => slow.once('close', resolve));
    slow.resume();
    await closed;
    assert.isFalse(quick.isEnded);
    await kit.post(event('after'));
    await until('the quick one goes on', () => quick.messages.includes('after'));
  }).timeout(40_000);

  it('takes no more streams than it may', async () => {
    await open({ streams: { streamsMax: 2, heartbeatMs: 15_000, stallMs: 30_000 } });
    const [first] = [await read(), await read()];
    const third = await kit.ask('/v1/events/stream');
    assert.deepEqual([third.status, third.headers.get('retry-after')], [503, '5']);
    assert.nestedInclude(third.body, { 'error.message': 'at most 2 streams at a time, got one more' });
    first.close();
    await until('there is room again', async () => {
      const answer = await fetch(`${kit.url}/v1/events/stream`);
      await answer.body?.cancel();
      return answer.status === 200;
    });
  });

  it('ends with a word when the proxy stops', async () => {
    await open();
    const reader = await read();
    const stopped = kit.stop();
    await until('it ended', () => reader.isEnded);
    await stopped;
    assert.equal(reader.comments.at(-1), 'the end, the proxy is stopping');
    assert.isTrue(reader.answer.complete);
    await open();
  });

  it('goes on when the journal was reopened', async () => {
    const storage = new MemoryStorage();
    await open({ storage });
    const reader = await read();
    await kit.post(event('one'));
    storage.fate = () => 'failed';
    await kit.post(event('two'));
    storage.fate = () => 'taken';
    await until('the journal is open', () => kit.journal.isOpen);
    await kit.post(event('three'));
    await until('it came', () => reader.messages.length >= 2);
    assert.deepEqual(reader.messages, ['one', 'three']);
  });

  for (const [what, query, lastEventId, field] of [
    ['a filter that is none', '?minSeverity=bad', undefined, 'minSeverity'],
    ['a parameter of lists', '?limit=5', undefined, 'limit'],
    ['a last id that is none', '', '12', 'Last-Event-ID'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await open();
      const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      const { status, body } = await kit.ask<{ error: { field: string } }>(`/v1/events/stream${query}`, { headers });
      assert.deepEqual([status, body.error.field], [400, field]);
    });
  }
});
