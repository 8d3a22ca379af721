import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { assert } from 'chai';
import type { Entry } from '../../../core/journal.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import { decodeEntry } from '../../../dispatcher/decode-entry.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sharedLines } from '../../support/fixtures.ts';
import { auditStore } from '../../support/store-audit.ts';
import { SurfaceKit, type Posted } from '../../support/surface-kit.ts';
import { until } from '../../support/until.ts';

const GOOD = { type: 'disk.Full', severity: 'error', message: 'full' };
const NDJSON = { 'content-type': 'application/x-ndjson' };

async function entriesOf(kit: SurfaceKit, lane: Lane): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let at = 1; at < kit.journal.head(lane); at += 1) {
    const read = await kit.journal.read(lane, at, 1024 * 1024);
    entries.push(...read.entries);
    at = entries.at(-1)!.position;
  }
  return entries;
}

describe('POST /v1/events', () => {
  let kit: SurfaceKit;

  describe('on LevelDB', () => {
    before(async () => (kit = await SurfaceKit.open()));
    after(async () => kit.stop());

    it('takes one event, an array and lines, and answers with their ids when they are in the journal', async () => {
      const one = await kit.post({ ...GOOD, attributes: { a: 1 } });
      assert.equal(one.status, 202);
      const [{ id = '' } = {}] = one.body.results;
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}-1$/);
      const series = id.slice(0, -2);
      assert.deepEqual(one.body, { accepted: 1, rejected: 0, results: [{ index: 0, id }] });
      const many = await kit.post([GOOD, { ...GOOD, message: 'two', source: { node: 'n9', component: 'c9' } }]);
      assert.deepEqual(many.body.results, [
        { index: 0, id: `${series}-2` },
        { index: 1, id: `${series}-3` },
      ]);
      const lines = await kit.post(`${JSON.stringify(GOOD)}\n\n${JSON.stringify(GOOD)}`, NDJSON);
      assert.deepEqual(lines.body.results, [
        { index: 0, line: 1, id: `${series}-4` },
        { index: 1, line: 3, id: `${series}-5` },
      ]);
      const entries = await entriesOf(kit, 'normal');
      assert.deepEqual(
        entries.map((entry) => [decodeEntry(entry).id, decodeEntry(entry).source.node, decodeEntry(entry).source.component]),
        [1, 2, 3, 4, 5].map((seq) => [`${series}-${seq}`, seq === 3 ? 'n9' : 'proxy-host', seq === 3 ? 'c9' : 'http']),
      );
    });

    it('keeps the text of attributes', async () => {
      const attributes = '{"a": -0.0,"b":1.10, "c":"\\u00e9","a2":[1E2]}';
      await kit.post(`[{"type":"a.B","severity":"info","message":"","attributes":${attributes}}]`);
      assert.equal(decodeEntry((await entriesOf(kit, 'normal')).at(-1)!).attributesText, attributes);
    });

    it('puts an urgent event and the others of its request into their lanes, under one series', async () => {
      const { body } = await kit.post([GOOD, { ...GOOD, severity: 'critical' }]);
      const [first, second] = body.results.map(({ id = '' }) => id);
      assert.equal(first!.slice(0, -2), second!.slice(0, -2));
      assert.equal(decodeEntry((await entriesOf(kit, 'urgent')).at(-1)!).id, second);
      assert.equal(decodeEntry((await entriesOf(kit, 'normal')).at(-1)!).id, first);
    });

    it('takes the good ones of a request and names the others, which are no losses', async () => {
      const before = await kit.ledger();
      const mixed = await kit.post(
        `${JSON.stringify(GOOD)}\n{"type":"a b","severity":"info","message":""}\n{]\n${JSON.stringify(GOOD)}\n`,
        NDJSON,
      );
      assert.equal(mixed.status, 202);
      assert.deepInclude(mixed.body, { accepted: 2, rejected: 2 });
      const { results } = mixed.body;
      assert.deepEqual(
        results.map(({ index, line, id, error }) => [index, line, id !== undefined, error?.code, error?.field]),
        [
          [0, 1, true, undefined, undefined],
          [1, 2, false, 'REJECTED', 'type'],
          [2, 3, false, 'REJECTED', 'event'],
          [3, 4, true, undefined, undefined],
        ],
      );
      assert.equal(Number(results[3]!.id!.split('-').at(-1)), Number(results[0]!.id!.split('-').at(-1)) + 1);
      const { accepted, rejected, lost, isBalanced } = await kit.ledger();
      assert.deepEqual([accepted.normal, rejected, lost, isBalanced], [before.accepted.normal + 2, 0, 0, true]);
    });

    it('50 requests of 200 events at once: each id once, seqs dense, the books balance', async () => {
      const known = new Set((await entriesOf(kit, 'normal')).map((entry) => decodeEntry(entry).id));
      const posts = Array.from({ length: 50 }, (_, request) =>
        kit.post(Array.from({ length: 200 }, (_, i) => ({ ...GOOD, message: `${request}/${i}` }))),
      );
      const answers = await Promise.all(posts);
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
      const told = new Map(answers.flatMap(({ body }, request) => body.results.map(({ index, id = '' }) => [id, `${request}/${index}`])));
      assert.equal(told.size, 10_000);
      const stored = (await entriesOf(kit, 'normal')).filter((entry) => !known.has(decodeEntry(entry).id));
      assert.deepEqual(new Map(stored.map((entry) => [decodeEntry(entry).id, decodeEntry(entry).message])), told);
      const seqs = stored.map(({ seq }) => seq);
      assert.deepEqual(
        seqs,
        Array.from(seqs, (_, i) => seqs[0]! + i),
      );
      assert.isTrue((await kit.ledger()).isBalanced);
    });

    it('takes what is nasty, as it is written', async () => {
      const lines = sharedLines('nasty.ndjson');
      if (!lines) return;
      const { status, body } = await kit.post(lines.join('\n'), NDJSON);
      assert.deepEqual([status, body.accepted, body.rejected], [202, lines.length, 0]);
      const stored = (await Promise.all(LANES.map((lane) => entriesOf(kit, lane)))).flat();
      const byId = new Map(stored.map((entry) => [decodeEntry(entry).id, decodeEntry(entry)]));
      for (const [i, { id = '' }] of body.results.entries()) {
        const { message, type } = JSON.parse(lines[i]!) as { message: string; type: string };
        assert.deepInclude(byId.get(id), { message: Buffer.from(message).toString(), type });
      }
      const rejected = sharedLines('rejected.ndjson')!;
      const refused = await kit.post(rejected.join('\n'), NDJSON);
      assert.equal(refused.status, 400);
      assert.deepEqual(
        refused.body.results.map(({ line, error }) => [line, error?.code]),
        rejected.map((_, i) => [i + 1, 'REJECTED']),
      );
    });
  });

  describe('bad input', () => {
    before(async () => (kit = await SurfaceKit.open()));
    after(async () => kit.stop());
    const event = (more: object): string => JSON.stringify({ ...GOOD, ...more });
    const json = 'application/json';

    const cases: [
      what: string,
      body: string | Uint8Array,
      headers: Record<string, string>,
      status: number,
      code: string,
      field: string | undefined,
      message: RegExp,
    ][] = [
      [
        'no content type',
        'x',
        { 'content-type': '' },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        'content-type',
        /^content-type must be application\/json or application\/x-ndjson, in UTF-8, got ""$/,
      ],
      [
        'another content type',
        event({}),
        { 'content-type': 'text/plain' },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        'content-type',
        /got "text\/plain"$/,
      ],
      [
        'another charset',
        event({}),
        { 'content-type': `${json}; charset=latin1` },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        'content-type',
        /latin1"$/,
      ],
      [
        'gzip',
        gzipSync(event({})),
        { 'content-encoding': 'gzip' },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        'content-encoding',
        /^content-encoding must be identity, got "gzip"$/,
      ],
      ['nothing', '', {}, 400, 'BAD_REQUEST', 'body', /^body must be JSON, got its end at character 1$/],
      ['no lines', '\n \n', NDJSON, 400, 'BAD_REQUEST', 'body', /^body must hold at least one event, got none$/],
      ['an empty array', '[]', {}, 400, 'BAD_REQUEST', 'body', /^body must hold at least one event, got an empty array$/],
      ['no JSON', `[${event({})},]`, {}, 400, 'BAD_REQUEST', 'body', /^body must be JSON, got "]" at character \d+$/],
      [
        'no JSON, in a later line',
        `[\n${event({})}\n${event({})}]`,
        {},
        400,
        'BAD_REQUEST',
        'body',
        /got "{" at character \d+ \(line 3, column 1\)$/,
      ],
      ['two values', '{} {}', {}, 400, 'BAD_REQUEST', 'body', /got "{" at character 4$/],
      ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), {}, 400, 'BAD_REQUEST', 'body', /^body must be UTF-8, got other bytes$/],
      ['no object', '"x"', {}, 400, 'BAD_REQUEST', 'event', /^event must be a JSON object, got "x"$/],
      ['an array in an array', '[[]]', {}, 400, 'BAD_REQUEST', 'event', /^event must be a JSON object, got \[\]$/],
      [
        'an unknown key',
        event({ extra: 1 }),
        {},
        400,
        'BAD_REQUEST',
        'event',
        /^event has an unknown key, expected any of type, .*, got "extra"$/,
      ],
      ['an id', event({ id: 'mine' }), {}, 400, 'BAD_REQUEST', 'event', /got "id"$/],
      [
        'a type that is none',
        event({ type: '9x' }),
        {},
        400,
        'BAD_REQUEST',
        'type',
        /^type must be a letter, then up to 127 .*, got "9x"$/,
      ],
      [
        'no severity',
        event({ severity: undefined }),
        {},
        400,
        'BAD_REQUEST',
        'severity',
        /^severity must be one of debug, info, warn, error, critical, got nothing$/,
      ],
      ['a message that is no text', event({ message: 5 }), {}, 400, 'BAD_REQUEST', 'message', /^message must be a string, got 5$/],
      [
        'a message that is too long',
        event({ message: 'é'.repeat(5000) }),
        {},
        400,
        'BAD_REQUEST',
        'message',
        /^message must be at most 8192 bytes of UTF-8, got 10000$/,
      ],
      [
        'a time that is none',
        event({ time: '2026-02-30T00:00:00Z' }),
        {},
        400,
        'BAD_REQUEST',
        'time',
        /^time must be RFC 3339 .*, got "2026-02-30T00:00:00Z"$/,
      ],
      ['an object with another field', event({ object: { kid: 'x' } }), {}, 400, 'BAD_REQUEST', 'object', /^object has an unknown key/],
      [
        'attributes that are an array',
        event({ attributes: [] }),
        {},
        400,
        'BAD_REQUEST',
        'attributes',
        /^attributes must be a JSON object, got \[\]$/,
      ],
      [
        'an integer beyond 2^53',
        event({}).replace('}', ',"attributes":{"n":9007199254740993}}'),
        {},
        400,
        'BAD_REQUEST',
        'attributes',
        /no integer beyond 2\^53, got 9007199254740993/,
      ],
      [
        'a body over the limit',
        ' '.repeat(4 * 1024 * 1024) + '{}',
        {},
        413,
        'TOO_LARGE',
        'body',
        /^body must be at most 4194304 bytes, got 4194306$/,
      ],
      ['too many events', `[${'{},'.repeat(10_000)}{}]`, {}, 413, 'TOO_LARGE', 'body', /^body must hold at most 10000 events, got 10001$/],
      ['too many lines', '{}\n'.repeat(10_001), NDJSON, 413, 'TOO_LARGE', 'body', /^body must hold at most 10000 events, got 10001$/],
    ];
    for (const [what, body, headers, status, code, field, message] of cases) {
      it(`${what}: ${status}, ${field ?? ''}`, async () => {
        const answer = await kit.post(body, headers);
        assert.equal(answer.status, status);
        assert.match(answer.body.error?.message ?? '', message);
        assert.deepEqual([answer.body.error?.code, answer.body.error?.field], [code, field]);
        const good = await kit.post(GOOD);
        assert.deepEqual([good.status, good.body.accepted], [202, 1]);
        assert.lengthOf(kit.problems, 0);
      });
    }

    it('tells the line of what is wrong where every line is', async () => {
      const { status, body } = await kit.post('\n{"type":1}\n\n{"a":}\n', NDJSON);
      assert.equal(status, 400);
      assert.match(body.error!.message, /^all 2 events were rejected, the first because type must be/);
      assert.deepInclude(body, { accepted: 0, rejected: 2 });
      assert.deepEqual(
        body.results.map(({ index, line }) => [index, line]),
        [
          [0, 2],
          [1, 4],
        ],
      );
      assert.equal(body.results[1]!.error!.message, 'event must be JSON, got "}" at character 6');
    });

    it('has stored none of it, and lost none', async () => {
      const { accepted, rejected, lost, isBalanced } = await kit.ledger();
      assert.deepEqual([accepted.normal, accepted.urgent, rejected, lost, isBalanced], [cases.length, 0, 0, 0, true]);
      assert.equal(kit.input.counts.accepted, cases.length);
    });

    it('gives up a body that ends early', async () => {
      const { port } = kit.surface.address as { port: number };
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      const head = 'POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
      socket.write(`${head}content-length: 1000\r\n\r\n${JSON.stringify(GOOD)}`);
      await new Promise<void>((resolve) => socket.end(resolve));
      const chunked = connect(port, '127.0.0.1');
      chunked.on('error', () => {});
      chunked.write(`${head}transfer-encoding: chunked\r\n\r\n3e\r\n${JSON.stringify(GOOD)}`);
      await new Promise((resolve) => setImmediate(resolve));
      chunked.destroy();
      assert.equal((await kit.post(GOOD)).status, 202);
      assert.deepEqual((await kit.ledger()).accepted.normal, cases.length + 1);
    });
  });

  describe('limits', () => {
    it('of bytes in flight: 503 until others are answered', async () => {
      const storage = new MemoryStorage();
      kit = await SurfaceKit.open({ storage, bodies: { bytesMax: 100_000, totalBytesMax: 110_000, waitMs: 20_000 } });
      let go = (): void => {};
      const held = new Promise<void>((resolve) => (go = resolve));
      let isHeld = false;
      storage.delay = () => {
        isHeld = true;
        return held;
      };
      const big = [{ ...GOOD, message: 'x'.repeat(8000), attributes: { text: 'y'.repeat(30_000) } }];
      const first = kit.post([...big, ...big]);
      await until('the first is being written', () => isHeld);
      const second = await kit.post([...big, ...big]);
      assert.deepEqual([second.status, second.headers.get('retry-after'), second.body.error?.code], [503, '1', 'UNAVAILABLE']);
      go();
      assert.equal((await first).status, 202);
      assert.equal((await kit.post([...big, ...big])).status, 202);
      await kit.stop();
    });

    it('of bytes that came, not of bytes that were promised', async () => {
      kit = await SurfaceKit.open({ storage: new MemoryStorage(), bodies: { bytesMax: 100_000, totalBytesMax: 110_000, waitMs: 20_000 } });
      const { port } = kit.surface.address as { port: number };
      const idle = Array.from({ length: 5 }, () => {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write('POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n[');
        return socket;
      });
      assert.equal((await kit.post([GOOD])).status, 202);
      for (const socket of idle) socket.destroy();
      await kit.stop();
    });

    it('of time for a body: 408', async () => {
      const clock = new FakeClock();
      kit = await SurfaceKit.open({ storage: new MemoryStorage(), clock });
      const { port } = kit.surface.address as { port: number };
      const socket = connect(port, '127.0.0.1');
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const sleeping = clock.sleeping;
      socket.write('POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{');
      await until('it is read', () => clock.sleeping > sleeping);
      await clock.advance(20_000);
      await until('it is answered', () => text.includes('}}'));
      assert.match(text, /^HTTP\/1.1 408 /);
      assert.include(text, '"code":"TIMEOUT","message":"body must be sent within 20 s"');
      socket.destroy();
      await kit.stop();
    });
  });

  describe('when the journal fails', () => {
    let storage: MemoryStorage;
    beforeEach(async () => {
      storage = new MemoryStorage();
      kit = await SurfaceKit.open({ storage });
    });
    afterEach(async () => kit.stop());
    const posting = (text: string): Promise<Posted & { status: number }> =>
      kit
        .post([
          { ...GOOD, message: `${text} 1` },
          { ...GOOD, message: `${text} 2` },
        ])
        .then(({ status, body }) => ({ status, ...body }));
    const stored = (): [string, number][] =>
      auditStore(storage)
        .entries.normal.filter(({ kind }) => kind === 'accepted')
        .map((entry) => [decodeEntry(entry).message, entry.seq]);

    it('says that nothing was stored, goes on by itself, and leaves no hole behind', async () => {
      await posting('first');
      storage.fate = () => 'failed';
      const full = await kit.post([GOOD]);
      assert.deepEqual([full.status, full.headers.get('retry-after'), full.body.error?.code], [507, '1', 'FULL']);
      const during = await kit.post([GOOD]);
      assert.equal(during.status, 503);
      storage.fate = () => 'taken';
      await until('the journal is open', () => kit.journal.isOpen);
      const after = await posting('after');
      assert.deepEqual(
        after.results.map(({ id = '' }) => id.split('-').at(-1)),
        ['3', '4'],
      );
      assert.deepEqual(stored(), [
        ['first 1', 1],
        ['first 2', 2],
        ['after 1', 3],
        ['after 2', 4],
      ]);
      const { lost, rejected, isBalanced, notices } = await kit.ledger();
      assert.deepEqual([lost, rejected, isBalanced, notices], [0, 0, true, 0]);
      assert.lengthOf(kit.problems, 0);
    });

    it('numbers no event twice where a commit failed and is on disk all the same', async () => {
      await posting('first');
      storage.fate = () => 'failed-but-stored';
      assert.equal((await posting('unknown')).status, 507);
      storage.fate = () => 'taken';
      await until('the journal is open', () => kit.journal.isOpen);
      const after = await posting('after');
      assert.equal(after.status, 202);
      assert.deepEqual(stored(), [
        ['first 1', 1],
        ['first 2', 2],
        ['unknown 1', 3],
        ['unknown 2', 4],
        ['after 1', 5],
        ['after 2', 6],
      ]);
      assert.deepEqual(
        after.results.map(({ id = '' }) => id.split('-').at(-1)),
        ['5', '6'],
      );
      const { lost, isBalanced, accepted } = await kit.ledger();
      assert.deepEqual([lost, isBalanced, accepted.normal], [0, true, 6]);
      assert.equal(kit.input.counts.accepted, 6);
    });

    it('507 while the budget of the journal is spent, with nothing stored, and on it goes', async () => {
      await posting('first');
      kit.dispatcher.room.refuse('a writer is behind');
      const full = await kit.post([GOOD]);
      assert.deepEqual([full.status, full.headers.get('retry-after'), full.body.error?.code], [507, '1', 'FULL']);
      assert.equal(full.body.error?.message, 'the journal must have room: a writer is behind');
      kit.dispatcher.room.refuse(undefined);
      await posting('after');
      assert.deepEqual(
        stored().map(([, seq]) => seq),
        [1, 2, 3, 4],
      );
    });

    it('many at once, the disk failing now and then: what got 202 is there once, under the id that was told', async () => {
      let writes = 0;
      storage.fate = () => (++writes % 7 === 3 ? 'failed' : writes % 11 === 5 ? 'failed-but-stored' : 'taken');
      const told = new Map<string, string>();
      const statuses = new Set<number>();
      for (let round = 0; round < 30; round++) {
        const answers = await Promise.all(
          Array.from({ length: 5 }, async (_, i) => ({ name: `${round}/${i}`, posted: await posting(`${round}/${i}`) })),
        );
        for (const { name, posted } of answers) {
          statuses.add(posted.status);
          if (posted.status === 202) for (const { index, id = '' } of posted.results) told.set(id, `${name} ${index + 1}`);
        }
        await until('the journal is open', () => kit.journal.isOpen);
      }
      storage.fate = () => 'taken';
      assert.includeMembers([...statuses], [202]);
      assert.isAbove(told.size, 50);
      const { entries } = auditStore(storage); // throws for gaps and repeats
      const byId = new Map(entries.normal.map((entry) => [`${entry.series}-${entry.seq}`, decodeEntry(entry).message]));
      for (const [id, message] of told) assert.equal(byId.get(id), message, id);
      const { lost, isBalanced } = await kit.ledger();
      assert.deepEqual([lost, isBalanced], [0, true]);
    });
  });

  it('closes its series at a clean stop, so that no row stays', async () => {
    const storage = new MemoryStorage();
    kit = await SurfaceKit.open({ storage });
    await kit.post([GOOD, { ...GOOD, severity: 'critical' }]);
    await kit.post(GOOD);
    assert.equal(kit.dispatcher.status().series, 2);
    await kit.stop();
    assert.equal(storage.range(Buffer.from('series:'), Buffer.from('series;')).length, 0);
  });
});
