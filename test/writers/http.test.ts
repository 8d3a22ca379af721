import { createServer, type AddressInfo, type Socket } from 'node:net';
import { assert } from 'chai';
import { CloudEvent, HTTP } from 'cloudevents';
import type { z } from 'zod';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Writer } from '../../core/writer.ts';
import { httpSettings, type HttpSettings } from '../../writers/http-settings.ts';
import { httpEventsMax, HttpWriter, webhookId } from '../../writers/http.ts';
import { failure, writerContract } from '../contract/writer-contract.ts';
import { deliveries, eventOf, nastyLines, plainLines } from '../support/deliveries.ts';
import { arrayMembers, fromCloudEvent, fromNative } from '../support/received.ts';
import { Subscriber, type Answer } from '../support/subscriber.ts';

const clock: Clock = { ...systemClock(), now: () => Date.parse('2026-11-22T08:00:00Z') };
const never = new AbortController().signal;

async function open(settings: z.input<typeof httpSettings>): Promise<HttpWriter> {
  return HttpWriter.open(httpSettings.parse(settings), { clock, directory: '/' });
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const texts: Record<HttpSettings['format'], (body: string) => string[]> = {
  'cloudevents-batch': arrayMembers,
  cloudevents: (body) => [body],
  json: arrayMembers,
  ndjson: (body) => body.split('\n').slice(0, -1),
};

for (const format of ['cloudevents-batch', 'cloudevents', 'json', 'ndjson'] as const) {
  writerContract(`http, ${format}`, {
    open: async () => {
      const subscriber = await Subscriber.open();
      const read = format === 'json' || format === 'ndjson' ? fromNative : fromCloudEvent;
      const http = await open({ url: subscriber.url, format });
      const payloads: Buffer[] = [];
      const writer: Writer = {
        write: async (batch, signal) => {
          const before = subscriber.taken.length;
          await http.write(batch, signal);
          payloads.push(Buffer.concat(subscriber.taken.slice(before)));
        },
        close: async () => http.close(),
      };
      return {
        writer,
        payloads: () => payloads,
        received: () => subscriber.taken.flatMap((body) => texts[format](body.toString()).map(read)),
        hang: () => {
          subscriber.answer = () => 'hang';
        },
        close: async () => subscriber.close(),
      };
    },
    openUnreachable: async () => open({ url: `http://127.0.0.1:${await freePort()}/`, format }),
  });
}

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
      ...[408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 599].map((status): [{ status: number }, ErrorCode] => [
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
    subscriber.answer = ({ headers }) => (String(headers['webhook-id']).includes('.urgent.') ? { status: 200 } : 'hang');
    const stop = new AbortController();
    const hanging = failure(writer.write(batch, stop.signal));
    await writer.write(deliveries([eventOf(plainLines(1, 1)[0]!)], { lane: 'urgent' }), never);
    stop.abort();
    assert.equal((await hanging).code, 'UNAVAILABLE');
  });

  it('names a batch by writer, lane, birth and positions, and by nothing else', async () => {
    await writer.write(batch, never);
    assert.equal(subscriber.requests[0]?.headers['webhook-id'], 'ops.normal.1795000000000.1-5');
    const [first] = batch;
    assert.equal(webhookId([first!]), 'ops.normal.1795000000000.1-1');
    assert.notEqual(webhookId(deliveries([first!.event], { birth: 7 })), webhookId([first!]));
    const ids = [batch, [batch[0]!, batch[4]!], [batch[0]!, batch[2]!, batch[4]!], [batch[0]!, batch[3]!, batch[4]!]].map(webhookId);
    assert.equal(new Set(ids).size, ids.length);
    assert.match(ids[1]!, /^ops\.normal\.1795000000000\.1-5\.[0-9a-f]{16}$/);
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

  describe('structured CloudEvents', () => {
    it('are one event a request, in order, each under an id of its own; the first that is not taken ends the write', async () => {
      const other = await open({ url: subscriber.url, format: 'cloudevents' });
      subscriber.answer = () => ({ status: subscriber.requests.length === 3 ? 422 : 200 });
      assert.equal((await failure(other.write(batch, never))).code, 'REJECTED');
      assert.deepEqual(
        subscriber.requests.map(({ headers }) => headers['webhook-id']),
        [1, 2, 3].map((n) => `ops.normal.1795000000000.${n}-${n}`),
      );
      await other.close();
    });

    it('want one event a write, so that what was taken is settled before the next', () => {
      const settings = (format: HttpSettings['format']): HttpSettings => httpSettings.parse({ url: 'http://h/', format });
      assert.equal(httpEventsMax(settings('cloudevents')), 1);
      assert.isUndefined(httpEventsMax(settings('cloudevents-batch')));
    });

    it('are taken by the cloudevents package as a whole request', async () => {
      const other = await open({ url: subscriber.url, format: 'cloudevents' });
      const events = [...nastyLines(), ...plainLines(1, 3)].map((line, i) => eventOf(line, i + 1));
      await other.write(deliveries(events), never);
      assert.lengthOf(subscriber.requests, events.length);
      for (const [i, { headers, body }] of subscriber.requests.entries()) {
        assert.equal(headers['content-type'], 'application/cloudevents+json');
        const cloudEvent = HTTP.toEvent({ headers, body: body.toString() }) as CloudEvent<{ message: string }>;
        assert.isTrue(cloudEvent.validate());
        assert.equal(cloudEvent.id, events[i]!.id);
        assert.equal(cloudEvent.data?.message, events[i]!.message);
      }
      await other.close();
    });
  });

  describe('CloudEvents, judged by the cloudevents package', () => {
    it('is valid and carries every field', async () => {
      const lines = [...nastyLines(), ...plainLines(1, 3)];
      const events = lines.map((line, i) => eventOf(line, i + 1, { region: 'eu' }));
      await writer.write(deliveries(events), never);
      const { headers, body } = subscriber.requests[0]!;
      assert.equal(headers['content-type'], 'application/cloudevents-batch+json');
      const got = JSON.parse(body.toString()) as Record<string, unknown>[];
      assert.lengthOf(got, events.length);
      for (const [i, attributes] of got.entries()) {
        const event = events[i]!;
        const cloudEvent = new CloudEvent(attributes, true);
        assert.isTrue(cloudEvent.validate());
        assert.equal(cloudEvent.id, event.id);
        assert.equal(cloudEvent.type, event.type);
        assert.equal(new Date(String(cloudEvent.time)).getTime(), new Date(event.time).getTime());
        assert.equal(cloudEvent.severitytext, event.severity);
        assert.equal(cloudEvent.recordedtime, event.receivedTime);
        assert.equal(cloudEvent.sequence, String(i + 1).padStart(16, '0'));
        assert.equal(cloudEvent.datacontenttype, 'application/json');
        assert.isUndefined(cloudEvent.sequencetype);
        for (const name of Object.keys(attributes)) assert.match(name, /^[a-z0-9]{1,20}$/);
        // eslint-disable-next-line no-control-regex -- they are what must not be there
        assert.notMatch(cloudEvent.subject ?? '', /[\x00-\x1f\x7f-\x9f]/);
        assert.doesNotThrow(() => new URL(`x:${cloudEvent.source}`));
        const data = cloudEvent.data as unknown as {
          message: string;
          object?: unknown;
          labels?: unknown;
          attributes: unknown;
          delivery: unknown;
        };
        assert.equal(data.message, event.message);
        assert.deepEqual(data.object, event.object);
        assert.deepEqual(data.labels, { region: 'eu' });
        assert.deepEqual(data.attributes, event.attributes);
        assert.deepEqual(data.delivery, { writer: 'ops', lane: 'normal', series: '0199e0c4-7b1e-7000-8000-000000000009' });
      }
    });

    it('numbers severities as OpenTelemetry does, and gives a summary the revision once', async () => {
      const summary = eventOf('{"type":"a.B","severity":"critical","message":"m","object":{"kind":"Node","name":"n\\u00012"}}', 3);
      const first = summary.id;
      Object.assign(summary, { id: `${first}.2`, revision: 2, count: 30, added: 10, summarizes: first });
      const foreign = eventOf('{"type":"a.B","severity":"debug","message":"m"}', 4);
      Object.assign(foreign, { revision: 1 });
      await writer.write(deliveries([summary, foreign]), never);
      const [one, two] = JSON.parse(subscriber.requests[0]!.body.toString()) as Record<string, unknown>[];
      assert.deepInclude(one, { id: `${first}.2`, severitynumber: 21, subject: 'Node/n%012' });
      assert.deepInclude(one!.data as object, { revision: 2, count: 30, added: 10, summarizes: first });
      assert.deepInclude(two, { id: `${foreign.id}.1`, severitynumber: 5 });
      assert.notProperty(two, 'subject');
    });

    it('gives trace context as an attribute where it is one, and as data where it is not', async () => {
      const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const line = (traceparent: string): string => JSON.stringify({ type: 'a.B', severity: 'info', message: 'm', traceparent });
      await writer.write(deliveries([eventOf(line(good)), eventOf(line('not "one"'))]), never);
      const [one, two] = JSON.parse(subscriber.requests[0]!.body.toString()) as { traceparent?: string; data: { traceparent?: string } }[];
      assert.equal(one?.traceparent, good);
      assert.isUndefined(one?.data.traceparent);
      assert.isUndefined(two?.traceparent);
      assert.equal(two?.data.traceparent, 'not "one"');
    });

    it('keeps the text of attributes', async () => {
      const text = '{ "neg": -0.0, "f": 1.10, "e": 1e+308, "n": {"deep": [ -0, 0.10 ]} }';
      await writer.write(deliveries([eventOf(`{"type":"a.B","severity":"info","message":"m","attributes":${text}}`)]), never);
      assert.include(subscriber.requests[0]!.body.toString(), `"attributes":${text}`);
    });
  });
});
