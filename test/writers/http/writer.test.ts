import { createServer, type AddressInfo, type Socket } from 'node:net';
import { assert } from 'chai';
import type { ErrorCode } from '../../../core/errors.ts';
import { webhookId } from '../../../writers/http/webhook-id.ts';
import type { HttpWriter } from '../../../writers/http/writer.ts';
import { failure } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { openHttp as open } from '../../support/http-scene.ts';
import { Subscriber, type Answer } from '../../support/subscriber.ts';

const never = new AbortController().signal;

describe('http writer', () => {
  let subscriber: Subscriber;
  let writer: HttpWriter;
  const batch = deliveries(plainLines(1, 5).map((line, i) => eventOf(line, i + 1)));

  beforeEach(async () => {
    subscriber = await Subscriber.open();
    writer = await open({ url: subscriber.url });
  });
  afterEach(async () => {
    await writer.close();
    await subscriber.close();
  });

  describe('table of faults', () => {
    const rows: [answer: Exclude<Answer, string>, code: ErrorCode | undefined, facts?: object][] = [
      ...[200, 201, 202, 204, 206].map((status): [{ status: number }, undefined] => [{ status }, undefined]),
      ...[408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 599, 600, 999].map((status): [{ status: number }, ErrorCode] => [
        { status },
        'UNAVAILABLE',
      ]),
      [{ status: 429, headers: { 'retry-after': '7' } }, 'UNAVAILABLE', { retryAfterMs: 7000 }],
      [
        { status: 503, headers: { 'retry-after': 'Sun, 22 Nov 2026 08:01:30 GMT', date: 'Sun, 22 Nov 2026 08:01:00 GMT' } },
        'UNAVAILABLE',
        { retryAfterMs: 30_000 },
      ],
      [
        { status: 503, headers: { 'retry-after': 'Sun, 22 Nov 2026 07:00:00 GMT', date: 'Sun, 22 Nov 2026 08:00:00 GMT' } },
        'UNAVAILABLE',
        { retryAfterMs: 0 },
      ],
      [{ status: 503, headers: { 'retry-after': '99999999999' } }, 'UNAVAILABLE', { retryAfterMs: 86_400_000 }],
      [{ status: 503, headers: { 'retry-after': '9'.repeat(400) } }, 'UNAVAILABLE', { retryAfterMs: 86_400_000 }],
      [{ status: 503, headers: { 'retry-after': '0' } }, 'UNAVAILABLE', { retryAfterMs: 0 }],
      [{ status: 503, headers: { 'retry-after': '-5' } }, 'UNAVAILABLE', { retryAfterMs: undefined }],
      [{ status: 503, headers: { 'retry-after': '1.5' } }, 'UNAVAILABLE', { retryAfterMs: undefined }],
      [{ status: 503, headers: { 'retry-after': '' } }, 'UNAVAILABLE', { retryAfterMs: undefined }],
      // A server whose clock is wrong, in the two older forms of a date, and a date that is none.
      [
        { status: 503, headers: { 'retry-after': 'Monday, 23-Nov-98 08:01:30 GMT', date: 'Mon Nov 23 08:01:00 1998' } },
        'UNAVAILABLE',
        { retryAfterMs: 30_000 },
      ],
      [
        { status: 503, headers: { 'retry-after': 'Sun, 22 Nov 2099 08:00:00 GMT', date: 'Sun, 22 Nov 2026 08:00:00 GMT' } },
        'UNAVAILABLE',
        { retryAfterMs: 86_400_000 },
      ],
      [{ status: 503, headers: { 'retry-after': 'Sun, 99 Nov 2026 08:01:30 GMT' } }, 'UNAVAILABLE', { retryAfterMs: undefined }],
      [{ status: 503, headers: { 'retry-after': 'soon' } }, 'UNAVAILABLE', { retryAfterMs: undefined }],
      [{ status: 400 }, 'REJECTED', { tooLarge: undefined }],
      [{ status: 422 }, 'REJECTED', { tooLarge: undefined }],
      [{ status: 413 }, 'REJECTED', { tooLarge: true }],
      ...[300, 301, 302, 303, 304, 307, 308].map((status): [{ status: number; headers: { location: string } }, ErrorCode] => [
        { status, headers: { location: 'http://127.0.0.1:1/' } },
        'REFUSED',
      ]),
      ...[401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 414, 415, 418, 421, 423, 424, 426, 428, 431, 451].map(
        (status): [{ status: number }, ErrorCode] => [{ status }, 'REFUSED'],
      ),
    ];
    for (const [answer, expected, facts = {}] of rows) {
      const headers = answer.headers?.['retry-after']?.slice(0, 40);
      it(`${answer.status}${headers === undefined ? '' : `, Retry-After ${headers}`}: ${expected ?? 'taken'}`, async () => {
        const body = answer.status === 204 || answer.status === 304 ? '' : 'the answer';
        subscriber.answer = () => ({ ...answer, body });
        if (expected === undefined) return writer.write(batch, never);
        const error = await failure(writer.write(batch, never));
        assert.equal(error.code, expected);
        assert.equal(error.facts.status, String(answer.status));
        assert.equal(error.facts.answer ?? '', body);
        assert.deepInclude({ retryAfterMs: undefined, tooLarge: undefined, ...error.facts }, facts);
        assert.isUndefined(error.facts.unreachable);
        assert.lengthOf(subscriber.requests, 1);
      });
    }

    it('no answer in time: UNAVAILABLE, reached', async () => {
      const impatient = await open({ url: subscriber.url, timeout: '100ms' });
      subscriber.answer = () => 'hang';
      const error = await failure(impatient.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(error.message, 'must be answered within 100 ms');
      assert.isUndefined(error.facts.unreachable);
      await impatient.close();
    });

    it('no beginning of an answer in time: UNAVAILABLE, though the whole has longer', async () => {
      const impatient = await open({ url: subscriber.url, timeout: '10m', headersTimeout: '100ms' });
      subscriber.answer = () => 'hang';
      const error = await failure(impatient.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(error.message, 'must be answered within 100 ms');
      await impatient.close();
    });

    it('no connection in time: UNAVAILABLE, not reached', async () => {
      const full = createServer((socket) => socket.on('error', () => {}).resume());
      await new Promise<void>((resolve) => full.listen(0, '127.0.0.1', resolve));
      const { port } = full.address() as AddressInfo;
      // It never answers the handshake, which is part of the connection.
      const silent = await open({ url: `https://127.0.0.1:${port}/`, timeout: '10m', connectTimeout: '100ms' });
      const error = await failure(silent.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.isTrue(error.facts.unreachable);
      await silent.close();
      await new Promise((resolve) => full.close(resolve));
    });

    it('an answer that trickles for ever: its status decides, after the time for the whole at the latest', async () => {
      for (const [status, expected] of [
        [200, undefined],
        [503, 'UNAVAILABLE'],
      ] as const) {
        const server = createServer((socket) => {
          socket.on('error', () => {}).resume();
          socket.write(`HTTP/1.1 ${status} x\r\ncontent-length: 100000\r\n\r\n`);
          const drip = setInterval(() => socket.write('.'), 20);
          socket.on('close', () => clearInterval(drip));
        });
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const patient = await open({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, timeout: '300ms' });
        const writing = patient.write(batch, never);
        if (expected === undefined) await writing;
        else assert.equal((await failure(writing)).code, expected);
        await patient.close();
        await new Promise((resolve) => server.close(resolve));
      }
    });

    it('connection broken in the middle: UNAVAILABLE, reached', async () => {
      subscriber.answer = () => 'cut';
      const error = await failure(writer.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.isUndefined(error.facts.unreachable);
    });

    it('a name that does not resolve: UNAVAILABLE, not reached', async () => {
      const lost = await open({ url: 'http://no-such-host.invalid/' });
      const error = await failure(lost.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.isTrue(error.facts.unreachable);
      await lost.close();
    });

    it('TLS to a server without it: UNAVAILABLE, not reached', async () => {
      const confused = await open({ url: subscriber.url.replace('http:', 'https:') });
      const error = await failure(confused.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.isTrue(error.facts.unreachable);
      await confused.close();
    });

    it('a server that speaks no HTTP: UNAVAILABLE', async () => {
      const server = createServer((socket) => socket.resume().end('220 smtp.example ESMTP\r\n'));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      const mistaken = await open({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/` });
      assert.equal((await failure(mistaken.write(batch, never))).code, 'UNAVAILABLE');
      await mistaken.close();
      await new Promise((resolve) => server.close(resolve));
    });
  });

  it('keeps 2 KiB of an answer and reads the rest, so that the connection is used again', async () => {
    subscriber.answer = () => ({ status: 400, body: 'x'.repeat(20_000) });
    assert.lengthOf((await failure(writer.write(batch, never))).facts.answer ?? '', 2048);
    subscriber.answer = () => ({ status: 200, body: 'x'.repeat(20_000) });
    for (let i = 0; i < 20; i++) await writer.write(batch, never);
    assert.isAtMost(subscriber.connections, 3); // one for each lane and one for a replay
  });

  it('keeps what a person can be shown of a binary answer, within its 2 KiB', async () => {
    subscriber.answer = () => ({ status: 400, body: Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0, 0xff, 0xfe, 10, 0x41]) });
    assert.equal((await failure(writer.write(batch, never))).facts.answer, '\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\nA');
    subscriber.answer = () => ({ status: 400, body: Buffer.alloc(5000, 0xff) });
    const { answer = '' } = (await failure(writer.write(batch, never))).facts;
    assert.isAtMost(Buffer.byteLength(answer), 2048);
    assert.match(answer, /^\u{fffd}+$/u);
  });

  it('hides in an answer what it was sent as a secret, also where the answer is cut', async () => {
    const pad = 'x'.repeat(2040);
    const cases: [settings: object, sent: (headers: Record<string, unknown>) => string, answer: string][] = [
      [{ auth: { bearer: 'sekrit-token-1' } }, ({ authorization }) => `no ${String(authorization)} here`, 'no Bearer *** here'],
      [{ auth: { bearer: 'sekrit-token-1' } }, () => `${pad}sekrit-token-1`, `${pad}***`],
      [
        { auth: { basic: { user: 'u', password: 'sekrit' } } },
        ({ authorization }) => `${String(authorization)}, sekrit of u`,
        'Basic ***, *** of u',
      ],
      [{ headers: { 'X-Api-Key': 'sekrit-key-2' } }, (headers) => `key ${String(headers['x-api-key'])}`, 'key ***'],
      [{ headers: { Authorization: 'ApiKey sekrit-key-3' } }, () => 'sekrit-key-3, not ApiKey sekrit-key-3', '***, not ***'],
      [{ url: `${subscriber.url}?key=sekrit%20key-4&mode=prod` }, () => 'product sekrit key-4', 'product ***'],
      [{ url: subscriber.url.replace('//', '//u:s%2Fekrit@') }, () => 'password s/ekrit', 'password ***'],
    ];
    for (const [settings, says, answer] of cases) {
      const secretive = await open({ url: subscriber.url, ...settings });
      subscriber.answer = ({ headers }) => ({ status: 401, body: says(headers) });
      const { facts, message } = await failure(secretive.write(batch, never));
      assert.equal(facts.answer, answer);
      assert.notInclude(message, 'ekrit');
      await secretive.close();
    }
  });

  it('says in words of ours what is no HTTP', async () => {
    const server = createServer((socket) => void socket.on('data', () => socket.write('HTTP/1.1 000 W\r\nContent-Length: 0\r\n\r\n')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const odd = await open({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
    const { code, message } = await failure(odd.write(batch, never));
    assert.equal(code, 'UNAVAILABLE');
    assert.match(message, /failed: its answer is not HTTP\/1\.1 \(ERR_ASSERTION\)$/);
    await odd.close();
    await new Promise((resolve) => server.close(resolve));
  });

  describe('a connection that the other side closes between two batches', () => {
    it('is not an outage: the batch goes out again at once on a new one, under the same id', async () => {
      let used = 0;
      subscriber.answer = ({ headers }) => (String(headers['webhook-id']).endsWith('6-10') && used++ === 0 ? 'cut' : { status: 200 });
      const next = plainLines(6, 10).map((line, i) => eventOf(line, i + 6));
      await Promise.all([1, 2, 3].map(async () => writer.write(batch, never))); // makes all connections
      await writer.write(deliveries(next, { first: 6 }), never);
      const ids = subscriber.requests.map(({ headers }) => headers['webhook-id']);
      assert.lengthOf(ids, 5);
      assert.equal(ids[3], ids[4]);
    });

    it('is one when a new connection is closed, too', async () => {
      await writer.write(batch, never);
      subscriber.answer = () => 'cut';
      assert.equal((await failure(writer.write(batch, never))).code, 'UNAVAILABLE');
      assert.isAtMost(subscriber.requests.length, 5);
    });
  });

  it('gives up on an endless answer without taking back what its status said', async () => {
    subscriber.answer = () => ({ status: 200, body: 'x'.repeat(1_000_000) });
    await writer.write(batch, never);
  });

  for (const status of [200, 503]) {
    it(`${status} with a body that drips without end: the status decides, long before the timeout`, async () => {
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket.on('error', () => {}));
        socket.once('data', () => {
          socket.write(`HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`);
          const drip = setInterval(() => socket.write('1\r\nx\r\n'), 20);
          socket.once('close', () => clearInterval(drip));
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const patient = await open({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, timeout: '10m' });
      if (status === 200) await patient.write(batch, never);
      else assert.deepInclude((await failure(patient.write(batch, never))).facts, { status: '503' });
      await patient.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  it('lets the urgent lane pass a normal batch that hangs', async () => {
    subscriber.answer = ({ headers }) => (String(headers['webhook-id']).includes('_urgent_') ? { status: 200 } : 'hang');
    const stop = new AbortController();
    const hanging = failure(writer.write(batch, stop.signal));
    await writer.write(deliveries([eventOf(plainLines(1, 1)[0]!)], { lane: 'urgent' }), never);
    stop.abort();
    assert.equal((await hanging).code, 'UNAVAILABLE');
  });

  it('names a batch by writer, lane, birth and positions, and by nothing else', async () => {
    await writer.write(batch, never);
    assert.equal(subscriber.requests[0]?.headers['webhook-id'], 'ops_normal_1795000000000_1-5');
    const [first] = batch;
    assert.equal(webhookId([first!]), 'ops_normal_1795000000000_1-1');
    assert.notEqual(webhookId(deliveries([first!.event], { birth: 7 })), webhookId([first!]));
    const ids = [batch, [batch[0]!, batch[4]!], [batch[0]!, batch[2]!, batch[4]!], [batch[0]!, batch[3]!, batch[4]!]].map(webhookId);
    assert.equal(new Set(ids).size, ids.length);
    assert.match(ids[1]!, /^ops_normal_1795000000000_1-5_[0-9a-f]{16}$/);
  });

  it('sends the headers and the basic authorization of its settings, and its own content type', async () => {
    const url = subscriber.url.replace('http://', 'http://user:p%40ss@');
    const other = await open({ url: `${url}?key=1`, format: 'json', headers: { 'X-Api-Key': 'k' }, timeout: '5s' });
    await other.write(batch, never);
    const { headers, url: path, method } = subscriber.requests[0]!;
    assert.equal(method, 'POST');
    assert.equal(path, '/events?key=1');
    assert.equal(headers['x-api-key'], 'k');
    assert.equal(headers.authorization, `Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    assert.equal(headers['content-type'], 'application/json');
    subscriber.answer = () => ({ status: 503 });
    const error = await failure(other.write(batch, never));
    assert.notMatch(error.message, /p%40ss|p@ss|key=1/);
    await other.close();
  });

  it('sends credentials of its settings, and shows them nowhere', async () => {
    const cases: [settings: object, header: string][] = [
      [{ auth: { bearer: 'abc.def' } }, 'Bearer abc.def'],
      [{ auth: { basic: { user: 'ops', password: 'pä:ss' } } }, `Basic ${Buffer.from('ops:pä:ss').toString('base64')}`],
      [{ headers: { Authorization: 'Other x' } }, 'Other x'],
    ];
    for (const [settings, header] of cases) {
      const other = await open({ url: subscriber.url, ...settings });
      subscriber.answer = () => ({ status: 401 });
      const error = await failure(other.write(batch, never));
      assert.equal(subscriber.requests.at(-1)?.headers.authorization, header);
      assert.notMatch(`${error.message} ${JSON.stringify(error.facts)}`, /abc|ss|Other x/);
      await other.close();
    }
  });

  it('sends NDJSON with a line feed after each event', async () => {
    const other = await open({ url: subscriber.url, format: 'ndjson' });
    await other.write(batch, never);
    const { headers, body } = subscriber.requests[0]!;
    assert.equal(headers['content-type'], 'application/x-ndjson');
    assert.match(body.toString(), /^(\{.*\}\n){5}$/);
    await other.close();
  });
});
