import { assert } from 'chai';
import { defineCatalog } from '../../../core/catalog.ts';
import { isFondacoError } from '../../../core/errors.ts';
import { FIELD } from '../../../core/event-codec.ts';
import { ProtobufWriter } from '../../../core/protobuf.ts';
import { TypeRules } from '../../../core/type-rules.ts';
import { REJECTED_LIMITS, type RejectedEvent } from '../../../dispatcher/acceptance/rejected-events.ts';
import type { MemoryStorage } from '../../../journal/memory-journal.ts';
import { DispatchKit, eventBytes, numbered, Sender } from '../../support/dispatch-kit.ts';
import type { FakeClock } from '../../support/fake-clock.ts';

const PORT = defineCatalog('port', { Down: { severity: 'warn', dedupFields: ['attributes.port'] }, Up: {} });
const all = { limit: 10_000, wants: () => true };

/** An event without what a catalog may give. */
function bareBytes(type: string, { message = 'm', attributes = '' } = {}): Uint8Array {
  const writer = new ProtobufWriter();
  writer.text(FIELD.type, type);
  writer.message(FIELD.source, () => writer.string(1, 'n7'));
  writer.string(FIELD.message, message);
  writer.string(FIELD.attributes, attributes);
  writer.timestamp(FIELD.time, 1, 0);
  writer.string(FIELD.traceparent, '00-1');
  return Uint8Array.from(writer.view());
}

describe('dispatcher/rejected events', () => {
  let kit: DispatchKit;
  const sender = new Sender();

  async function reopen(storage: MemoryStorage, clock: FakeClock): Promise<void> {
    await kit.kill();
    kit = await DispatchKit.open({ storage, clock });
  }

  async function kept(): Promise<readonly RejectedEvent[]> {
    return (await kit.dispatcher.rejected.page(all)).events;
  }

  afterEach(() => kit.stop());

  it('are kept whole by the commit that rejects, newest first, also across a kill', async () => {
    kit = await DispatchKit.open();
    const own = new Sender();
    const broken = Uint8Array.from([0xff, 0xff, 0xff]);
    const large = eventBytes({ type: 'a.Large', source: { node: 'n9' }, object: { name: 'x' } });
    const events = [eventBytes({}), broken, Buffer.concat([large, Buffer.alloc(70_000)])];
    const reply = await kit.dispatcher.accept({ ...own.batch(0, []), events });
    assert.deepEqual(
      reply.rejections.map(({ seq }) => seq),
      [2, 3],
    );
    const { storage, clock } = kit;
    await reopen(storage, clock);
    const [newest, oldest, ...others] = await kept();
    assert.isEmpty(others);
    assert.deepInclude(newest, { number: 2, input: 'grpc', form: 'protobuf', type: 'a.Large', node: 'n9', component: 'c1', isWhole: true });
    assert.match(newest!.id, /-3$/);
    assert.match(newest!.reason, /^event must be at most 65536 bytes/);
    assert.lengthOf(newest!.bytes, large.length + 70_000);
    assert.deepInclude(oldest, { number: 1, type: '', reason: reply.rejections[0]!.reason });
    assert.deepEqual([...oldest!.bytes], [...broken]);
    assert.isTrue((await kit.ledger()).isBalanced);
    await kit.dispatcher.accept({ ...own.batch(3, []), events: [broken] });
    assert.deepEqual(
      (await kept()).map(({ number }) => number),
      [3, 2, 1],
    );
  });

  it('are none where the commit failed', async () => {
    kit = await DispatchKit.open();
    const own = new Sender();
    const batch = { ...own.batch(0, []), events: [Uint8Array.from([0xff])] };
    kit.storage.fate = () => {
      kit.storage.fate = () => 'taken';
      return 'failed';
    };
    const error = await kit.dispatcher.accept(batch).catch((thrown: unknown) => thrown);
    assert.isTrue(isFondacoError(error), String(error));
    for (let i = 0; i < 10 && !kit.journal.isOpen; i++) await kit.clock.advance(1000);
    assert.isEmpty(await kept());
    await kit.dispatcher.accept(batch);
    assert.deepEqual(
      (await kept()).map(({ number }) => number),
      [1],
    );
  });

  it('are 1,000 at most, the oldest given up first, also of one batch', async () => {
    kit = await DispatchKit.open();
    const broken = Array.from({ length: 1500 }, () => Uint8Array.from([0xff]));
    await kit.dispatcher.accept({ ...sender.batch(0, []), events: broken });
    const numbers = (await kept()).map(({ number }) => number);
    assert.lengthOf(numbers, REJECTED_LIMITS.events);
    assert.deepEqual([numbers[0], numbers.at(-1)], [1500, 501]);
    const { storage, clock } = kit;
    await reopen(storage, clock);
    assert.equal(kit.dispatcher.rejected.count, REJECTED_LIMITS.events);
  });

  it('are 8 MiB at most, and 256 KiB each', async () => {
    kit = await DispatchKit.open();
    const own = new Sender();
    const huge = new Uint8Array(300 * 1024).fill(0xff);
    for (let after = 0; after < 40; after++) await kit.dispatcher.accept({ ...own.batch(after, []), events: [huge] });
    const events = await kept();
    const bytes = events.reduce((sum, event) => sum + Math.ceil(event.bytes.length / 3) * 4, 0);
    assert.isAtMost(bytes, REJECTED_LIMITS.bytes);
    assert.isAbove(bytes, REJECTED_LIMITS.bytes - 400 * 1024);
    assert.equal(events[0]!.number, 40);
    assert.deepInclude(events[0], { isWhole: false, wholeBytes: huge.length });
    assert.lengthOf(events[0]!.bytes, REJECTED_LIMITS.eventBytes);
  });

  it('are read in pages, by what is wanted', async () => {
    kit = await DispatchKit.open({ types: new TypeRules([PORT], { isClosed: true }) });
    const own = new Sender();
    const events = ['a.A', 'a.B', 'a.A', 'a.A'].map((type) => ({ type }));
    await kit.dispatcher.accept(own.batch(0, events));
    const { rejected } = kit.dispatcher;
    const wants = ({ type }: RejectedEvent): boolean => type === 'a.A';
    const first = await rejected.page({ limit: 2, wants });
    assert.deepEqual([first.events.map(({ number }) => number), first.next], [[4, 3], 3]);
    const second = await rejected.page({ limit: 2, wants, before: first.next! });
    assert.deepEqual([second.events.map(({ number }) => number), second.next], [[1], undefined]);
  });

  it('come of types that no catalog has, with the nearest; the others of the batch are taken', async () => {
    kit = await DispatchKit.open({ types: new TypeRules([PORT], { isClosed: true }), writers: { ops: {} } });
    const own = new Sender();
    const reply = await kit.dispatcher.accept(own.batch(0, [{ type: 'port.Up' }, { type: 'port.Dwn' }]));
    const reason = 'type must be one of the catalogs, such as port.Down, got "port.Dwn"';
    assert.deepEqual(reply.rejections, [{ seq: 2, reason }]);
    assert.deepInclude((await kept())[0], { type: 'port.Dwn', reason });
    await kit.clock.advance(2000);
    await kit.settle();
    assert.includeMembers(
      kit.writer().taken.map(({ event }) => event.type),
      ['port.Up', 'fondaco.Loss'],
    );
    assert.isTrue((await kit.ledger()).isBalanced);
  });

  it('are none of known types: what these leave out, their catalog gives', async () => {
    kit = await DispatchKit.open({ types: new TypeRules([PORT], { isClosed: false }), writers: { ops: {} }, dedupMs: 10_000 });
    const own = new Sender();
    const events = [
      bareBytes('port.Down', { message: 'first', attributes: '{"port":7,"n":1}' }),
      bareBytes('port.Down', { message: 'again', attributes: '{"n":2,"port":7}' }),
      bareBytes('port.Down', { message: 'another', attributes: '{"port":8}' }),
      bareBytes('port.Up'),
      eventBytes({ type: 'port.Down', severity: 'error', dedupKey: 'k' }),
      eventBytes({ type: 'un.Known' }),
    ];
    const { rejections } = await kit.dispatcher.accept({ ...own.batch(0, []), events });
    assert.deepEqual(rejections, [{ seq: 4, reason: 'severity must be 5, 9, 13, 17 or 21, got nothing' }]);
    await kit.settle();
    assert.deepEqual(
      kit
        .writer()
        .taken.filter(({ event }) => event.type !== 'fondaco.Loss')
        .map(({ event }) => [event.severity, event.message, event.traceparent]),
      [
        ['warn', 'first', '00-1'],
        ['warn', 'another', '00-1'],
        ['error', 'm', undefined],
        ['info', 'm', undefined],
      ],
    );
    assert.deepEqual(kit.dispatcher.counts.accepted, { urgent: 0, normal: 5 });
    assert.isTrue((await kit.ledger()).isBalanced);
  });

  it('tell of those that are damaged, until the next one takes their room', async () => {
    kit = await DispatchKit.open();
    const own = new Sender();
    await kit.dispatcher.accept({ ...own.batch(0, []), refused: [REFUSED, { ...REFUSED, reason: 'second' }, REFUSED] });
    const { storage, clock } = kit;
    const [key, value] = storage.range(Buffer.alloc(0), Buffer.alloc(64, 0xff)).find((pair) => pair[1].includes('second'))!;
    value[value.length - 3]! ^= 1;
    storage.apply([{ key, value }]);
    await reopen(storage, clock);
    const { events, damaged } = await kit.dispatcher.rejected.page(all);
    assert.deepEqual([events.map(({ number }) => number), damaged], [[3, 1], 1]);
    await kit.dispatcher.accept({ ...own.batch(0, []), refused: [REFUSED] });
    const after = await kit.dispatcher.rejected.page(all);
    assert.deepEqual([after.events.map(({ number }) => number), after.damaged], [[4, 3, 1], 0]);
    assert.isUndefined(storage.get(key));
  });

  it('leave the books alone, however many there are', async () => {
    kit = await DispatchKit.open();
    const own = new Sender();
    await kit.dispatcher.accept({ ...own.batch(0, numbered('m', 1, 3)), refused: [REFUSED, REFUSED] });
    assert.lengthOf(await kept(), 2);
    const ledger = await kit.ledger();
    assert.deepInclude(ledger, { rejected: 0, lost: 0, isBalanced: true });
  });
});

const REFUSED = {
  input: 'http',
  form: 'json',
  id: '',
  type: 't'.repeat(500),
  node: 'n',
  component: 'c',
  reason: 'r',
  bytes: Buffer.from('{'),
} as const;
