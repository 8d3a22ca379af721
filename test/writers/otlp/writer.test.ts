import { assert } from 'chai';
import type { z } from 'zod';
import type { ErrorCode } from '../../../core/errors.ts';
import { systemClock, type Clock } from '../../../core/clock.ts';
import { exportRequest } from '../../../writers/otlp/log-record.ts';
import { decodePartialSuccess, encodeRequest, parsePartialSuccess } from '../../../writers/otlp/protobuf.ts';
import { httpOf, otlpProblems, otlpSettings } from '../../../writers/otlp/settings.ts';
import { OtlpWriter } from '../../../writers/otlp/writer.ts';
import { failure, writerContract } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from '../../support/deliveries.ts';
import { decodeRequest, parseRequest, partialSuccess, receivedOf, type Request } from '../../support/from-otlp.ts';
import { httpHooks, plainBody } from '../../support/http-destination.ts';
import { freePort } from '../../support/http-scene.ts';
import { Subscriber, type Answer, type SeenRequest } from '../../support/subscriber.ts';

type Settings = z.input<typeof otlpSettings>;

const clock: Clock = { ...systemClock(), now: () => Date.parse('2026-11-22T08:00:00Z') };
const never = new AbortController().signal;
const batch = deliveries(plainLines(1, 5).map((line, i) => eventOf(line, i + 1)));

async function open(settings: Settings): Promise<OtlpWriter> {
  return OtlpWriter.open(otlpSettings.parse(settings), { clock, directory: '/' });
}

function requestOf(seen: SeenRequest): Request {
  return seen.headers['content-type'] === 'application/json' ? parseRequest(plainBody(seen).toString()) : decodeRequest(plainBody(seen));
}

for (const encoding of ['protobuf', 'json'] as const) {
  writerContract(`otlp, ${encoding}`, {
    ...httpHooks,
    openWriter: async ({ url }) => open({ url, encoding }),
    received: ({ taken }) => taken.flatMap((seen) => receivedOf(requestOf(seen))),
    payloads: ({ taken }) => taken.map(({ body }) => body),
    openUnreachable: async () => open({ url: `http://127.0.0.1:${await freePort()}`, encoding }),
  });
}

describe('log records of OpenTelemetry', () => {
  it('have every field where OpenTelemetry looks for it', () => {
    const line = {
      type: 'cluster.LeaderElected',
      severity: 'warn',
      time: '2026-11-22T08:00:00.123456789Z',
      message: 'node n2 leads',
      source: { node: 'n2', component: 'cmd' },
      object: { kind: 'Node', name: 'n2' },
      attributes: { term: 7, ratio: 0.5, ok: true, none: null, list: [1, 'a'], map: { deep: -3 } },
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const [delivery] = deliveries([eventOf(JSON.stringify(line), 17, { region: 'eu' })], { first: 4 });
    const { resourceLogs: [logs] = [] } = decodeRequest(encodeRequest(exportRequest([delivery!])));
    const string = (key: string, stringValue: string): { key: string; value: { stringValue: string } } => ({ key, value: { stringValue } });
    assert.deepEqual(logs?.resource?.attributes, [
      string('service.name', 'cmd'),
      string('host.name', 'n2'),
      string('fondaco.site', 'plant-7'),
      string('fondaco.label.region', 'eu'),
    ] as never);
    assert.deepEqual(logs?.scopeLogs?.[0]?.logRecords, [
      {
        timeUnixNano: '1795334400123456789',
        observedTimeUnixNano: '1795334401500000000',
        severityNumber: 13,
        severityText: 'warn',
        eventName: 'cluster.LeaderElected',
        body: { stringValue: 'node n2 leads' },
        flags: 1,
        traceId: Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex').toString('base64'),
        spanId: Buffer.from('b7ad6b7169203331', 'hex').toString('base64'),
        attributes: [
          string('log.record.uid', delivery!.event.id),
          { key: 'term', value: { intValue: '7' } },
          { key: 'ratio', value: { doubleValue: 0.5 } },
          { key: 'ok', value: { boolValue: true } },
          { key: 'none', value: {} },
          { key: 'list', value: { arrayValue: { values: [{ intValue: '1' }, { stringValue: 'a' }] } } },
          { key: 'map', value: { kvlistValue: { values: [{ key: 'deep', value: { intValue: '-3' } }] } } },
          string('fondaco.object.kind', 'Node'),
          string('fondaco.object.name', 'n2'),
          string('fondaco.delivery.writer', 'ops'),
          string('fondaco.delivery.lane', 'normal'),
          string('fondaco.delivery.series', delivery!.delivery.series),
          { key: 'fondaco.delivery.seq', value: { intValue: '4' } },
        ],
      },
    ]);
  });

  it('say the same in protobuf and in JSON', () => {
    const events = [...nastyLines(), largeLine()].map((line, i) => eventOf(line, i + 1, i % 2 === 0 ? { region: 'eu' } : undefined));
    const request = exportRequest(deliveries(events));
    assert.deepEqual(decodeRequest(encodeRequest(request)), parseRequest(JSON.stringify(request)));
  });

  const exact: [name: string, attributes: string][] = [
    ['numbers that a double would show otherwise', '{"a":1.10,"b":-0.0,"c":1e5,"d":12345678901234567890}'],
    ['names that are ours, or empty', '{"log.record.uid":"x","fondaco.site":"y","":1,"ok":2}'],
    ['half of a surrogate pair', '{"a":"\\ud800","b":"\\ud83d\\ude00"}'],
    ['more levels than readers may follow', `${'{"a":['.repeat(14)}1${']}'.repeat(14)}`],
    ['names that JavaScript would put in front', '{"b":1,"1":2}'],
  ];
  for (const [name, attributes] of exact) {
    it(`keep the text of ${name}`, () => {
      const event = eventOf(plainLines(1, 1)[0]!);
      event.attributesText = attributes;
      const request = exportRequest(deliveries([event]));
      const [protobuf] = receivedOf(decodeRequest(encodeRequest(request)));
      const [json] = receivedOf(parseRequest(JSON.stringify(request)));
      assert.equal(protobuf!.attributesText, attributes);
      assert.deepEqual(json, protobuf);
      const keys = request.resourceLogs[0]!.scopeLogs[0].logRecords[0]!.attributes.map(({ key }) => key);
      assert.lengthOf(new Set(keys), keys.length);
    });
  }

  it('keep a time that their 64 bits cannot hold', () => {
    for (const time of ['0001-01-01T00:00:00Z', '1969-12-31T23:59:59.5Z', '1970-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999Z']) {
      const event = eventOf(plainLines(1, 1)[0]!);
      event.time = time;
      const [received] = receivedOf(decodeRequest(encodeRequest(exportRequest(deliveries([event])))));
      assert.equal(received!.time, time);
    }
  });

  it('tell a summary, what is foreign, and a traceparent that is none', () => {
    const event = eventOf(plainLines(1, 1)[0]!);
    Object.assign(event, {
      id: 'x-1.2',
      revision: 2,
      count: 12,
      added: 3,
      summarizes: 'x-1',
      via: ['region', 'centre'],
      traceparent: 'odd',
    });
    event.foreign = { source: '//theirs', id: '7' };
    const { attributes } = exportRequest(deliveries([event])).resourceLogs[0]!.scopeLogs[0].logRecords[0]!;
    const values = Object.fromEntries(
      attributes.filter(({ key }) => key.startsWith('fondaco.')).map(({ key, value }) => [key.slice(8), Object.values(value)[0]]),
    );
    assert.deepInclude(values, {
      revision: '2',
      count: '12',
      added: '3',
      summarizes: 'x-1',
      'foreign.source': '//theirs',
      'foreign.id': '7',
      traceparent: 'odd',
    });
    assert.deepEqual(values.via, { values: [{ stringValue: 'region' }, { stringValue: 'centre' }] });
  });

  it('put events of one source under one resource, in their order', () => {
    const of = (node: string, i: number): ReturnType<typeof eventOf> =>
      eventOf(JSON.stringify({ type: 'a.B', severity: 'info', message: `${i}`, source: { node } }), i);
    const request = exportRequest(deliveries([of('a', 1), of('a', 2), of('b', 3), of('a', 4)]));
    assert.deepEqual(
      request.resourceLogs.map(({ scopeLogs }) => scopeLogs[0].logRecords.map(({ body }) => (body as { stringValue: string }).stringValue)),
      [['1', '2'], ['3'], ['4']],
    );
  });
});

describe('otlp writer', () => {
  let collector: Subscriber;
  let writer: OtlpWriter;

  beforeEach(async () => {
    collector = await Subscriber.open();
    writer = await open({ url: new URL(collector.url).origin });
  });
  afterEach(async () => {
    await writer.close();
    await collector.close();
  });

  it('posts to /v1/logs unless the url has a path, compressed unless told', async () => {
    await writer.write(batch, never);
    const other = await open({
      url: `${new URL(collector.url).origin}/otlp/x?tenant=7`,
      compression: 'none',
      headers: { 'X-Scope': 'plant' },
    });
    await other.write(batch, never);
    await other.close();
    const [first, second] = collector.requests;
    assert.deepInclude(first, { method: 'POST', url: '/v1/logs' });
    assert.deepInclude(first!.headers, { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' });
    assert.equal(second!.url, '/otlp/x?tenant=7');
    assert.deepInclude(second!.headers, { 'x-scope': 'plant' });
    assert.isUndefined(second!.headers['content-encoding']);
  });

  const protobuf = { 'content-type': 'application/x-protobuf' };
  const json = { 'content-type': 'application/json; charset=utf-8' };
  const status = Buffer.from([0x08, 3, 0x12, 7, ...Buffer.from('too old')]);
  const answers: [name: string, answer: Answer, code: ErrorCode | 'taken', facts?: object][] = [
    ['429 with Retry-After', { status: 429, headers: { 'retry-after': '7' } }, 'UNAVAILABLE', { retryAfterMs: 7000 }],
    ['502', { status: 502 }, 'UNAVAILABLE'],
    [
      '503 with a date',
      { status: 503, headers: { 'retry-after': 'Sun, 22 Nov 2026 08:01:00 GMT', date: 'Sun, 22 Nov 2026 08:00:00 GMT' } },
      'UNAVAILABLE',
      { retryAfterMs: 60_000 },
    ],
    ['504', { status: 504 }, 'UNAVAILABLE'],
    ['500, which OTLP would have dropped', { status: 500 }, 'UNAVAILABLE'],
    ['400 with a status in protobuf', { status: 400, headers: protobuf, body: status }, 'REJECTED', { answer: 'too old' }],
    ['413', { status: 413 }, 'REJECTED', { tooLarge: true }],
    ['401', { status: 401, body: 'who are you?' }, 'REFUSED', { answer: 'who are you?' }],
    ['404', { status: 404 }, 'REFUSED'],
    [
      'a partial success',
      { status: 200, headers: protobuf, body: partialSuccess(2, 'too old') },
      'REJECTED',
      { answer: 'too old', status: '200' },
    ],
    [
      'a partial success in JSON',
      { status: 200, headers: json, body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}' },
      'REJECTED',
      { answer: 'no' },
    ],
    ['a warning', { status: 200, headers: protobuf, body: partialSuccess(0, 'use another port') }, 'taken'],
    ['an empty success', { status: 200, headers: protobuf, body: '' }, 'taken'],
    ['an answer that is none', { status: 200, headers: protobuf, body: Buffer.from([0x0a, 200, 1]) }, 'taken'],
    ['an answer without an end', { status: 200, headers: json, body: '{"partialSuccess":' }, 'taken'],
    ['HTML', { status: 200, headers: { 'content-type': 'text/html' }, body: '<p>' }, 'taken'],
  ];
  for (const [name, answer, code, facts] of answers) {
    it(`${name}: ${code}`, async () => {
      collector.answer = () => answer;
      if (code === 'taken') return writer.write(batch, never);
      const error = await failure(writer.write(batch, never));
      assert.equal(error.code, code, error.message);
      assert.deepInclude(error.facts, facts ?? {});
    });
  }

  it('reads partial successes as OpenTelemetry writes them, and nothing else for one', () => {
    assert.deepEqual(decodePartialSuccess(partialSuccess(3, 'é')), { rejected: 3, message: 'é' });
    assert.isUndefined(decodePartialSuccess(Buffer.alloc(0)));
    assert.deepEqual(parsePartialSuccess('{"partialSuccess":{"rejectedLogRecords":4}}'), { rejected: 4, message: '' });
    for (const text of ['{}', '[]', 'null', '{"partialSuccess":7}', '{"partialSuccess":{"rejectedLogRecords":"x"}}']) {
      assert.include([undefined, 0], parsePartialSuccess(text)?.rejected, text);
    }
  });

  it('says what of its settings does not go together', () => {
    const says = (settings: Settings): string[] =>
      otlpProblems(otlpSettings.parse(settings)).map(({ key, message }) => `${key.join('.')} ${message}`);
    assert.deepEqual(says({ url: 'http://h:4318', tls: {} }), ['tls must have an https:// url beside it']);
    assert.deepEqual(says({ url: 'https://h:4318', auth: { bearer: 'a' } }), []);
    assert.isFalse(otlpSettings.safeParse({ url: 'grpc://h:4317' }).success);
    assert.equal(httpOf(otlpSettings.parse({ url: 'https://u:p@h:4318' })).url, 'https://u:p@h:4318/v1/logs');
  });
});
