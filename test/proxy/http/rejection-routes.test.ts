import { assert } from 'chai';
import { defineCatalog } from '../../../core/catalog.ts';
import { TypeRules } from '../../../core/type-rules.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { eventBytes, Sender } from '../../support/dispatch-kit.ts';
import { SurfaceKit } from '../../support/surface-kit.ts';
import { until } from '../../support/until.ts';

interface Rejections {
  readonly rejections: Record<string, unknown>[];
  readonly kept: number;
  readonly next?: string;
}

const PORT = defineCatalog('port', { Down: { severity: 'warn', description: 'gone', dedupFields: ['attributes.port'] }, Up: {} });

describe('a proxy with catalogs, over HTTP', () => {
  let kit: SurfaceKit;
  afterEach(() => kit.stop());

  async function rejections(query = ''): Promise<Rejections> {
    return (await kit.ask<Rejections>(`/v1/rejections${query}`)).body;
  }

  it('refuses unknown types, naming the nearest, takes severity and dedup fields of known ones, and keeps what it refused', async () => {
    kit = await SurfaceKit.open({ types: new TypeRules([PORT], { isClosed: true }), dedupMs: 10_000 });
    const { status, body } = await kit.post([
      { type: 'port.Down', message: 'a', attributes: { port: 7, n: 1 } },
      { type: 'port.Down', message: 'b', attributes: { port: 7, n: 2 } },
      { type: 'port.Dwn', severity: 'info', message: 'c', source: { node: 'sw-17' } },
      { type: 'port.Up', message: 'd' },
    ]);
    assert.deepInclude({ status, ...body }, { status: 202, accepted: 2, rejected: 2 });
    const message = 'type must be one of the catalogs, such as port.Down, got "port.Dwn"';
    assert.deepEqual(body.results[2]!.error, { code: 'REJECTED', message, field: 'type' });
    const { events } = (await kit.ask<{ events: Record<string, unknown>[] }>('/v1/events')).body;
    assert.deepEqual(
      events.map(({ severity, message: text, kind }) => [severity, text, kind]),
      [
        ['warn', 'b', 'folded'],
        ['warn', 'a', 'accepted'],
      ],
    );
    const { rejections: kept } = await rejections();
    assert.lengthOf(kept, 2);
    assert.deepInclude(kept[1], {
      number: 1,
      input: 'http',
      id: null,
      type: 'port.Dwn',
      source: { node: 'sw-17', component: 'http' },
      reason: message,
      isWhole: true,
      event: { type: 'port.Dwn', severity: 'info', message: 'c', source: { node: 'sw-17' } },
    });
    assert.match(String(kept[1]!.rejectedTime), /^\d{4}-\d\d-\d\dT/);
    assert.include(String(kept[0]!.reason), 'severity must be one of');
    assert.isTrue((await kit.ledger()).isBalanced);
  });

  it('keeps every event that it refuses, whatever is wrong with it', async () => {
    kit = await SurfaceKit.open();
    const bad = [
      '{"type":"a.B"',
      '[1]',
      '"\\ud800"',
      '{"type":7,"message":"m","source":"x"}',
      '{"type":"a.B","severity":"info","message":"m","more":1}',
    ];
    const { status } = await kit.post(bad.join('\n'), { 'content-type': 'application/x-ndjson' });
    assert.equal(status, 400);
    await kit.post([{ type: 'no good', severity: 'info', message: 'alone' }]);
    const { rejections: kept, kept: count } = await rejections();
    assert.equal(count, 6);
    assert.deepEqual(
      kept.map(({ type, event }) => [type, event]),
      [
        ['no good', { type: 'no good', severity: 'info', message: 'alone' }],
        ['a.B', { type: 'a.B', severity: 'info', message: 'm', more: 1 }],
        ['', { type: 7, message: 'm', source: 'x' }],
        ['', '"\\ud800"'],
        ['', [1]],
        ['', '{"type":"a.B"'],
      ],
    );
  });

  it('shows what came over gRPC as it could be posted, with the very bytes', async () => {
    kit = await SurfaceKit.open({ types: new TypeRules([PORT], { isClosed: true }) });
    const sender = new Sender();
    const events = [
      eventBytes({ type: 'a.B', object: { name: 'x' }, attributes: { n: 1 }, time: '2026-11-22T08:00:00Z' }),
      Buffer.from('0a01611063', 'hex'),
    ];
    await kit.dispatcher.accept({ ...sender.batch(0, []), events });
    const { rejections: kept } = await rejections('?type=a*');
    assert.deepEqual(kept[1]!.event, {
      type: 'a.B',
      severity: 'info',
      time: '2026-11-22T08:00:00Z',
      message: 'm',
      source: { node: 'n1', component: 'c1' },
      object: { name: 'x' },
      attributes: { n: 1 },
    });
    assert.equal(kept[1]!.base64, Buffer.from(events[0]!).toString('base64'));
    assert.deepInclude(kept[0], { type: 'a', input: 'grpc', reason: 'severity must be 5, 9, 13, 17 or 21, got 99' });
    assert.equal((kept[0]!.event as { severity: unknown }).severity, 99);
    const [one, none] = [await rejections(`?id=${String(kept[1]!.id)}`), await rejections('?node=elsewhere')];
    assert.deepEqual([one.rejections.length, none.rejections.length], [1, 0]);
  });

  it('answers in pages, and 400 for a question that is none', async () => {
    kit = await SurfaceKit.open();
    await kit.post(Array.from({ length: 5 }, (_, n) => ({ type: `bad ${n}` })));
    const first = await rejections('?limit=3');
    assert.deepEqual([first.rejections.map(({ number }) => number), first.next], [[5, 4, 3], '3']);
    const second = await rejections(`?limit=3&before=${first.next}`);
    assert.deepEqual([second.rejections.map(({ number }) => number), second.next], [[2, 1], undefined]);
    for (const query of ['limit=0', 'limit=1001', 'before=x', 'severity=info'])
      assert.equal((await kit.ask(`/v1/rejections?${query}`)).status, 400, query);
  });

  it('still tells a sender what is wrong while nothing can be kept', async () => {
    const storage = new MemoryStorage();
    kit = await SurfaceKit.open({ storage });
    storage.fate = () => 'failed';
    assert.equal((await kit.post([{ type: 'no good' }])).status, 400);
    storage.fate = () => 'taken';
    await until('the journal is open again', () => kit.journal.isOpen);
    assert.equal((await kit.post([{ type: 'no good' }])).status, 400);
    assert.equal((await rejections()).rejections[0]!.type, 'no good');
    assert.equal((await kit.post([{ type: 'a.B', severity: 'info', message: 'm' }])).status, 202);
  });

  it('tells what it knows of event types', async () => {
    kit = await SurfaceKit.open({ types: new TypeRules([PORT], { isClosed: true }) });
    assert.deepEqual((await kit.ask('/v1/catalogs')).body, {
      unknownTypes: 'reject',
      catalogs: [
        {
          name: 'port',
          types: [
            { type: 'port.Down', severity: 'warn', description: 'gone', dedupFields: ['attributes.port'] },
            { type: 'port.Up', severity: null, description: '', dedupFields: null },
          ],
        },
      ],
    });
  });
});
