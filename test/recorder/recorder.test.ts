import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import type { FondacoError } from '../../core/errors.ts';
import { assertBalanced, recordMany, RecorderKit } from '../support/recorder-kit.ts';
import { fastClock } from '../support/fast-clock.ts';
import { until } from '../support/until.ts';

const kit = new RecorderKit();

describe('recorder', () => {
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('delivers what was recorded, in order, with the ids that event() returned', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy);
    const ids = [1, 2, 3].map((n) => recorder.event('a.B', 'info', `m${n}`, { object: { kind: 'Node', name: 'n2' }, attributes: { n } }));
    await recorder.flush();
    assert.deepEqual(
      proxy.events.map((event) => event.id),
      ids as string[],
    );
    const [first] = proxy.events;
    assert.deepInclude(first, { type: 'a.B', severity: 'info', message: 'm1', object: { kind: 'Node', name: 'n2' } });
    assert.deepEqual(first!.attributes, { n: 1 });
    assert.deepInclude(first!.source, { node: 'n1', component: 'cmd' });
    assert.deepEqual(proxy.batches[0]!.sender, { node: 'n1', component: 'cmd' });
    assertBalanced(recorder.status());
    assert.strictEqual(recorder.status().state, 'connected');
    assert.deepEqual(readdirSync(join(kit.directory, 'cmd')), [], 'nothing was spilled');
  });

  it('keeps events while the proxy is away before the start, and delivers them when it comes', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy);
    const messages = recordMany(recorder, 1, 500);
    await recorder.flush();
    assert.strictEqual(recorder.status().ledger.spooled, 500);
    assert.strictEqual(recorder.status().state, 'spooling');
    await proxy.start();
    await until('everything is settled', () => recorder.status().ledger.settled === 500);
    assert.deepEqual(proxy.messages, messages);
    assertBalanced(recorder.status());
  });

  it('goes on through the spool when the proxy is away in the middle, skipping nothing and sending nothing twice', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy);
    const messages = recordMany(recorder, 1, 100);
    await until('some are settled', () => recorder.status().ledger.settled > 0);
    proxy.stop();
    messages.push(...recordMany(recorder, 101, 300));
    await until('they are spooled', () => recorder.status().ledger.queued === 0);
    messages.push(...recordMany(recorder, 301, 400));
    await proxy.start();
    messages.push(...recordMany(recorder, 401, 500));
    await until('everything is settled', () => recorder.status().ledger.settled === 500);
    assert.deepEqual(proxy.messages, messages);
    assertBalanced(recorder.status());
    assert.deepEqual(
      kit.errors.map((error) => error.code),
      ['UNAVAILABLE'],
      'one report for an outage',
    );
  });

  it('loses and repeats nothing when replies get lost', async () => {
    const proxy = await kit.proxy();
    proxy.script = (_, index) => (index % 3 === 1 && index < 9 ? 'lose-reply' : 'take');
    const recorder = await kit.open(proxy);
    const messages: string[] = [];
    for (let round = 0; round < 8; round++) {
      messages.push(...recordMany(recorder, round * 10 + 1, round * 10 + 10));
      await recorder.flush();
    }
    await until('everything is settled', () => recorder.status().ledger.settled === 80);
    assert.deepEqual(proxy.messages, messages);
    assertBalanced(recorder.status());
  });

  it('waits as long as a proxy without room asks, and then delivers', async () => {
    const proxy = await kit.proxy();
    proxy.script = (_, index) => (index < 3 ? { throttleMs: 30 } : 'take');
    const recorder = await kit.open(proxy);
    const messages = recordMany(recorder, 1, 20);
    await until('everything is settled', () => recorder.status().ledger.settled === 20);
    assert.deepEqual(proxy.messages, messages);
    assert.strictEqual(proxy.streams, 1);
  });

  it('names what a proxy lost that was restored from an older copy', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy);
    recordMany(recorder, 1, 50);
    await until('everything is settled', () => recorder.status().ledger.settled === 50);
    proxy.stop();
    proxy.model.forgetLast(20);
    await proxy.start();
    recordMany(recorder, 51, 60);
    await until('everything is settled', () => recorder.status().ledger.settled === 60);
    assert.deepEqual(
      proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
      [{ range: { first: 31, last: 50 }, cause: 'restored' }],
    );
    assert.deepEqual(proxy.messages.slice(30), recordedNames(51, 60));
  });

  it('sends what is urgent first', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy);
    recordMany(recorder, 1, 3000);
    recorder.event('test.Urgent', 'critical', 'the house is on fire');
    await recorder.flush();
    await proxy.start();
    await until('everything is settled', () => recorder.status().ledger.settled === 3001);
    assert.strictEqual(proxy.messages[0], 'the house is on fire');
    assert.strictEqual(proxy.batches[0]!.lane, 'urgent');
    assert.deepEqual(proxy.messages.slice(1), recordedNames(1, 3000));
  });

  it('drains what an earlier life left, in order, before its own events of the same lane', async () => {
    const proxy = await kit.nobody();
    for (const life of [0, 1]) {
      const recorder = await kit.open(proxy);
      recordMany(recorder, life * 100 + 1, life * 100 + 100);
      await recorder.close();
      assert.strictEqual(recorder.status().state, 'closed');
      assert.strictEqual(recorder.status().ledger.spooled, 100);
    }
    assert.lengthOf(readdirSync(join(kit.directory, 'cmd')), 2);
    const recorder = await kit.open(proxy);
    recordMany(recorder, 201, 300);
    recorder.event('test.Urgent', 'critical', 'fire');
    await until('both are adopted', () => recorder.status().older.events === 200);
    await proxy.start();
    await until('everything is settled', () => recorder.status().ledger.settled === 101 && recorder.status().older.lives === 0);
    assert.deepEqual(
      proxy.messages.filter((message) => message !== 'fire'),
      recordedNames(1, 300),
    );
    assert.strictEqual(proxy.messages[0], 'fire');
    await until('the rows of the earlier lives are given back', () => proxy.model.closed.length === 2);
    await recorder.close();
    assert.deepEqual(readdirSync(join(kit.directory, 'cmd')), [], 'empty spools are deleted');
    assert.lengthOf(proxy.model.closed, 4);
  });

  it('drains more lives than it opens at a time, in order', async () => {
    const proxy = await kit.nobody();
    for (let life = 0; life < 12; life++) {
      const recorder = await kit.open(proxy);
      recordMany(recorder, life * 10 + 1, life * 10 + 10);
      await recorder.close();
    }
    await proxy.start();
    const recorder = await kit.open(proxy);
    recordMany(recorder, 121, 130);
    await until('everything is settled', () => recorder.status().ledger.settled === 10 && recorder.status().older.lives === 0);
    assert.deepEqual(proxy.messages, recordedNames(1, 130));
  });

  it('says on close that nothing more will come, after everything was settled', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy);
    recordMany(recorder, 1, 10);
    await recorder.close();
    assert.strictEqual(recorder.status().ledger.settled, 10);
    assert.lengthOf(proxy.model.closed, 1);
    assert.isUndefined(recorder.event('a.B', 'info', 'late'));
    assert.strictEqual(kit.errors.at(-1)?.code, 'FULL');
    assert.strictEqual(recorder.status().ledger.dropped, 1);
    assertBalanced(recorder.status());
  });

  it('turns to the next proxy in the list when one is gone', async () => {
    const [gone, other] = [await kit.nobody(), await kit.proxy()];
    const recorder = await kit.open([gone.address, other.address]);
    recordMany(recorder, 1, 10);
    await until('everything is settled', () => recorder.status().ledger.settled === 10);
    assert.deepEqual(other.messages, recordedNames(1, 10));
    assert.strictEqual(recorder.status().proxy, other.address);
  });

  it('passes over at the next proxy what another has settled', async () => {
    const [first, second] = [await kit.proxy(), await kit.proxy()];
    const recorder = await kit.open([first.address, second.address]);
    recordMany(recorder, 1, 10);
    await until('everything is settled', () => recorder.status().ledger.settled === 10);
    first.stop();
    recordMany(recorder, 11, 20);
    await until('everything is settled', () => recorder.status().ledger.settled === 20);
    assert.deepEqual(second.messages, recordedNames(11, 20));
    assert.deepEqual(second.model.lost, []);
  });

  it('speaks to a unix socket', async () => {
    const proxy = await kit.proxy(`unix:${join(kit.directory, 'proxy.sock')}`);
    const recorder = await kit.open(proxy);
    assert.strictEqual((await recorder.record('a.B', 'info', 'hello')).level, 'proxy');
    assert.deepEqual(proxy.messages, ['hello']);
  });

  it('keeps events in memory only, and says so, when the spool directory is unusable', async () => {
    const proxy = await kit.proxy();
    const file = join(kit.directory, 'a-file');
    writeFileSync(file, '');
    const recorder = await kit.open(proxy, { spool: { directory: join(file, 'spool') } });
    assert.match(kit.errors[0]!.message, /^\[UNAVAILABLE\] spool\.directory .* must be writable, got .*memory only/);
    assert.isUndefined(recorder.status().spool.directory);
    recordMany(recorder, 1, 5);
    await recorder.flush();
    assert.lengthOf(proxy.messages, 5);
  });

  it('puts every event on disk first with durability: spool', async () => {
    const proxy = await kit.proxy();
    proxy.script = () => 'hang';
    const recorder = await kit.open(proxy, { durability: 'spool' });
    recordMany(recorder, 1, 10);
    assert.strictEqual((await recorder.record('a.B', 'info', 'm11')).level, 'spool');
    assert.deepInclude(recorder.status().ledger, { spooled: 11, queued: 0 });
  });

  it('flushes what is kept, also when the last of it was dropped', async () => {
    const recorder = await kit.open(await kit.nobody(), { spool: { directory: kit.directory, whenFull: 'drop-newest' } });
    for (let n = 0; n < 3000; n++) recorder.event('a.B', 'info', 'x'.repeat(8000));
    await recorder.flush();
    const { spooled, queued, dropped } = recorder.status().ledger;
    assert.strictEqual(queued, 0);
    assert.strictEqual(spooled + dropped, 3000);
    assert.isAbove(dropped, 0);
  });

  it('goes back to memory when the spool is drained, and deletes its directory when it stays empty', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy, {}, { clock: fastClock(20), random: () => 0 });
    recordMany(recorder, 1, 100);
    await recorder.flush();
    assert.lengthOf(readdirSync(join(kit.directory, 'cmd')), 1);
    await proxy.start();
    await until('it is drained', () => recorder.status().ledger.settled === 100);
    await until('the directory is gone', () => readdirSync(join(kit.directory, 'cmd')).length === 0);
    recordMany(recorder, 101, 200);
    await until('it is settled', () => recorder.status().ledger.settled === 200);
    proxy.stop();
    recordMany(recorder, 201, 210);
    await recorder.flush();
    assert.strictEqual(recorder.status().ledger.spooled, 10, 'it may spill again');
    await proxy.start();
    await until('it is settled', () => recorder.status().ledger.settled === 210);
    assert.deepEqual(proxy.messages, recordedNames(1, 210));
  });

  it('copies what it is given at the call', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy);
    const attributes = { n: 1 };
    recorder.event('a.B', 'info', 'm', { attributes });
    attributes.n = 2;
    await recorder.flush();
    assert.deepEqual(proxy.events[0]!.attributes, { n: 1 });
  });

  describe('record()', () => {
    it('resolves with proxy, or with spool while the proxy is away', async () => {
      const proxy = await kit.proxy();
      const recorder = await kit.open(proxy);
      const first = await recorder.record('a.B', 'info', 'one');
      assert.strictEqual(first.level, 'proxy');
      assert.strictEqual(first.id, proxy.events[0]!.id);
      proxy.stop();
      assert.strictEqual((await recorder.record('a.B', 'info', 'two')).level, 'spool');
      assertBalanced(recorder.status());
    });

    it('rejects REJECTED for a mistake in the call, naming field, expected and got', async () => {
      const recorder = await kit.open(await kit.proxy());
      await rejects(recorder.record('no spaces', 'info', 'm'), /^\[REJECTED\] type must be a letter, .* got "no spaces"$/);
      assert.strictEqual(recorder.status().ledger.rejected, 1);
      assertBalanced(recorder.status());
    });

    it('rejects REJECTED for what the proxy will never take, and delivers the rest', async () => {
      const proxy = await kit.proxy();
      proxy.model.rejects = (seq) => (seq === 2 ? 'type must be of a catalog, got "a.B"' : undefined);
      const recorder = await kit.open(proxy);
      const [one, two, three] = ['one', 'two', 'three'].map((message) => recorder.record('a.B', 'info', message));
      await rejects(two!, /^\[REJECTED\] type must be of a catalog/);
      await Promise.all([one, three]);
      assert.deepEqual(proxy.messages, ['one', 'three']);
      assert.match(kit.errors[0]!.message, /^\[REJECTED\] event [0-9a-f-]{36}-2: type must be of a catalog/);
      assert.deepInclude(recorder.status().ledger, { settled: 2, rejected: 1 });
      assertBalanced(recorder.status());
    });

    it('rejects UNAVAILABLE at the signal when there is neither proxy nor spool; the event stays and may yet arrive', async () => {
      const proxy = await kit.nobody();
      const recorder = await kit.open(proxy, { spool: false });
      await rejects(
        recorder.record('a.B', 'info', 'm', undefined, AbortSignal.timeout(20)),
        /^\[UNAVAILABLE\] events must be durable within 10 s, got an abort/,
      );
      assert.strictEqual(recorder.status().ledger.queued, 1);
      await proxy.start();
      await until('it is settled', () => recorder.status().ledger.settled === 1);
    });
  });

  it('rejects record() and flush() UNAVAILABLE after 10 s when there is neither proxy nor spool, naming the last error', async () => {
    const clock = fastClock(100);
    const recorder = await kit.open(await kit.nobody(), { spool: false }, { clock });
    const began = clock.monotonic();
    await Promise.all([
      rejects(
        recorder.record('a.B', 'info', 'm'),
        /^\[UNAVAILABLE\] events must be durable within 10 s, got no answer; last error: proxy 127/,
      ),
      rejects(recorder.flush(), /^\[UNAVAILABLE\] events must be durable within 10 s/),
    ]);
    assert.isAtLeast(clock.monotonic() - began, 10_000);
    await rejects(recorder.close(), /^\[UNAVAILABLE\] every event must be settled or spooled at the close, got 1 in memory only/);
    assertBalanced(recorder.status());
  });

  describe('a mistake in a call', () => {
    it('is reported, counted and returned as undefined, whatever it is', async () => {
      const recorder = await kit.open(await kit.proxy());
      const nasty = { get attributes(): never { throw new TypeError('boo'); } }; // prettier-ignore
      assert.isUndefined(recorder.event('a.B', 'info', 'm', nasty));
      assert.isUndefined(recorder.event('a.B', 'loud' as 'info', 'm'));
      assert.isUndefined(recorder.event('a.B', 'info', 7 as unknown as string));
      assert.deepEqual(
        kit.errors.map((error) => error.code),
        ['REJECTED', 'REJECTED', 'REJECTED'],
      );
      assert.strictEqual(recorder.status().ledger.rejected, 3);
      assertBalanced(recorder.status());
    });

    it('is thrown when strict is set', async () => {
      const recorder = await kit.open(await kit.proxy(), { strict: true });
      assert.throws(() => recorder.event('', 'info', 'm'), /^\[REJECTED\] type must be/);
    });

    it('does no harm when onError throws', async () => {
      const recorder = await kit.open(await kit.proxy(), {
        onError: () => {
          throw new Error('a bug of the host');
        },
      });
      assert.isUndefined(recorder.event('', 'info', 'm'));
    });
  });

  describe('limits', () => {
    const long = 'x'.repeat(8000);

    it('drops the oldest, normal before urgent, when memory is full, and declares exactly what was lost', async () => {
      const proxy = await kit.nobody();
      const recorder = await kit.open(proxy, { spool: false });
      recorder.event('a.B', 'critical', 'kept');
      for (let n = 0; n < 3000; n++) recorder.event('a.B', 'info', long);
      const { ledger, memoryBytes } = recorder.status();
      assert.isAtMost(memoryBytes, 16 * 1024 * 1024);
      assert.isAbove(ledger.dropped, 500);
      assertBalanced(recorder.status());
      assert.deepEqual(
        kit.errors.map((error) => error.code),
        ['FULL'],
        'one report for a burst',
      );
      await proxy.start();
      await until('the rest is settled', () => recorder.status().ledger.settled === 3001 - ledger.dropped);
      assert.strictEqual(proxy.messages[0], 'kept');
      assert.lengthOf(proxy.model.lost, 1);
      assert.deepInclude(proxy.model.lost[0], { range: { first: 1, last: ledger.dropped }, cause: 'memory-full' });
      assertBalanced(recorder.status());
    });

    it('drops the newest where that is the policy, and record() rejects FULL', async () => {
      const proxy = await kit.nobody();
      // A spool that can hold nothing more: a disk that is full.
      const recorder = await kit.open(
        proxy,
        { spool: { directory: kit.directory, whenFull: 'drop-newest' } },
        { openJournal: () => Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })) },
      );
      for (let n = 0; n < 2500; n++) recorder.event('a.B', 'info', long);
      await rejects(recorder.record('a.B', 'info', long), /^\[FULL\] memory must have room/);
      const { dropped } = recorder.status().ledger;
      assert.isAbove(dropped, 300);
      assertBalanced(recorder.status());
      await proxy.start();
      await until('the rest is settled', () => recorder.status().ledger.settled === 2501 - dropped);
      assert.deepEqual(
        proxy.model.lost.map(({ range }) => range),
        [{ first: 2502 - dropped, last: 2501 }],
      );
      assertBalanced(recorder.status());
    });

    it('drops the oldest of the spool when that is full, and declares it', async () => {
      const proxy = await kit.nobody();
      const recorder = await kit.open(proxy, { spool: { directory: kit.directory, bytesMax: 2 * 1024 * 1024 } });
      for (let round = 0; round < 8; round++) {
        for (let n = 0; n < 60; n++) recorder.event('a.B', 'info', long);
        await recorder.flush();
        assertBalanced(recorder.status());
      }
      const { dropped, spooled } = recorder.status().ledger;
      assert.isAbove(dropped, 100);
      assert.strictEqual(dropped + spooled, 480);
      assert.isAtMost(recorder.status().spool.bytes, 2 * 1024 * 1024);
      await recorder.close();
      // The loss is durable with the spool: a later life declares it.
      await proxy.start();
      const later = await kit.open(proxy);
      await until('the rest has arrived', () => proxy.model.stored.length === spooled && later.status().older.lives === 0);
      assert.deepEqual(
        proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
        [{ range: { first: 1, last: dropped }, cause: 'spool-full' }],
      );
    });
  });
});

function recordedNames(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `m${first + i}`);
}

async function rejects(promise: Promise<unknown>, says: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown as FondacoError,
  );
  assert.match(String(error?.message), says);
}
