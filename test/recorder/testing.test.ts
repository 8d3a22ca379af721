import { assert } from 'chai';
import fc from 'fast-check';
import { defineCatalog } from '../../core/catalog.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { EventObject, FondacoEvent } from '../../core/event.ts';
import type { Severity } from '../../core/severity.ts';
import { recorder } from '../../recorder/process-wide.ts';
import { MemoryRecorder, recordInMemory, type TestEvent } from '../../recorder/testing.ts';
import { assertBalanced, RecorderKit } from '../support/recorder-kit.ts';

const kit = new RecorderKit();

describe('fondaco/testing', () => {
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('keeps what a proxy would get, under ids of the same form', async () => {
    const proxy = await kit.proxy();
    const real = await kit.open(proxy);
    const memory = new MemoryRecorder({ component: 'cmd', node: 'n1', strict: false, onError: () => undefined });
    const call = fc.record({
      severity: fc.constantFrom<Severity>('debug', 'info', 'critical'),
      message: fc.string({ unit: 'binary', maxLength: 50 }),
      attributes: fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue(), { maxKeys: 3 }),
      object: fc.constantFrom<EventObject>({}, { kind: 'Disk', name: 'sda\ud800' }),
    });
    const calls = fc.sample(call, { seed: 7, numRuns: 200 });
    for (const { severity, message, ...details } of calls) {
      for (const to of [real, memory]) to.event('a.B', severity, message, { time: '2026-11-22T08:00:00.5Z', ...details });
    }
    await real.flush();
    const shown = ({ type, severity, time, message, object, attributes }: FondacoEvent | TestEvent): object => {
      return { type, severity, time, message, object, attributes };
    };
    const arrived = (lane: string): object[] => proxy.events.filter((e) => (e.severity === 'critical') === (lane === 'urgent')).map(shown);
    const kept = (lane: string): object[] => memory.events.filter((event) => event.lane === lane).map(shown);
    assert.deepEqual(kept('urgent'), arrived('urgent'));
    assert.deepEqual(kept('normal'), arrived('normal'));
    for (const event of memory.events) assert.match(event.id, /^[0-9a-f-]{36}-\d+$/);
    assertBalanced(memory.status());
  });

  it('throws a mistake, or reports it where the program says that it is not strict', async () => {
    const memory = new MemoryRecorder({ strict: false, onError: (error) => kit.errors.push(error) });
    assert.isUndefined(memory.event('no good', 'info', 'm'));
    assert.deepEqual(
      kit.errors.map(({ code }) => code),
      ['REJECTED'],
    );
    assert.strictEqual(memory.status().ledger.rejected, 1);
    const strict = new MemoryRecorder();
    assert.throws(() => strict.event('no good', 'info', 'm'), /\[REJECTED\] type must be/);
    const problem: unknown = await strict.record('no good', 'info', 'm').catch((error: unknown) => error);
    assert.isTrue(isFondacoError(problem, 'REJECTED'));
  });

  it('knows catalogs as the real one does, also those that the program opens it with', async () => {
    const DiskEvents = defineCatalog('disk', { Full: { severity: 'critical', dedupFields: ['object'] } });
    const memory = new MemoryRecorder();
    await memory.open({ component: 'cmd', catalogs: [DiskEvents] });
    memory.event(DiskEvents.Full, undefined, '/var is full');
    assert.deepEqual(
      memory.events.map(({ severity, lane }) => `${severity} ${lane}`),
      ['critical urgent'],
    );
    assert.isNotEmpty(memory.events[0]?.dedupKey);
    assert.throws(
      () => memory.event('disk.Ful', 'info', 'm'),
      /\[REJECTED\] type must be one of the catalogs, such as disk\.Full, got "disk\.Ful"$/,
    );
  });

  it('plays a site that is full, away, or spooling', async () => {
    const memory = new MemoryRecorder({ onError: (error) => kit.errors.push(error) });
    memory.level = 'spool';
    assert.strictEqual((await memory.record('a.B', 'info', 'm')).level, 'spool');
    memory.fails = 'UNAVAILABLE';
    assert.isString(memory.event('a.B', 'info', 'kept'));
    assert.isTrue(isFondacoError(await memory.record('a.B', 'info', 'kept').catch((error: unknown) => error), 'UNAVAILABLE'));
    assert.isTrue(isFondacoError(await memory.flush().catch((error: unknown) => error), 'UNAVAILABLE'));
    memory.fails = 'FULL';
    assert.isUndefined(memory.event('a.B', 'info', 'dropped'));
    assert.isTrue(isFondacoError(await memory.record('a.B', 'info', 'dropped').catch((error: unknown) => error), 'FULL'));
    assert.deepEqual(
      kit.errors.map(({ code }) => code),
      ['FULL'],
    );
    assert.deepEqual(
      memory.events.map(({ message }) => message),
      ['m', 'kept', 'kept'],
    );
    assert.deepInclude(memory.status().ledger, { recorded: 5, settled: 3, dropped: 2 });
    assertBalanced(memory.status());
  });

  it("stands in for the process's recorder, for a program that opens and closes it as always", async () => {
    const memory = recordInMemory();
    try {
      recorder.event('a.Early', 'info', 'before open()');
      await recorder.open({ component: 'cmd', proxy: 'nowhere:1', closeOn: ['SIGTERM'] });
      const id = recorder.event('a.B', 'critical', 'm', { attributes: { n: 1 } });
      const [event] = memory.ofType('a.B');
      assert.deepEqual([event?.id, event?.severity, event?.lane], [id, 'critical', 'urgent']);
      assert.deepEqual([event?.source.component, event?.attributes], ['cmd', { n: 1 }]);
      const problem: unknown = await recorder.open({ component: '' }).catch((error: unknown) => error);
      assert.isTrue(isFondacoError(problem, 'CONFIG'));
      await recorder.close();
      assert.strictEqual(recorder.status().state, 'closed');
      memory.clear();
      assert.isEmpty(memory.events);
    } finally {
      memory.restore();
    }
    assert.notStrictEqual(recorder.status().proxy, 'memory');
  });
});
