import { assert } from 'chai';
import { CloudEvent, HTTP } from 'cloudevents';
import type { HttpWriter } from '../../../writers/http/writer.ts';
import { httpEventsMax, httpSettings, type HttpSettings } from '../../../writers/http/settings.ts';
import { failure } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, nastyLines, plainLines } from '../../support/deliveries.ts';
import { openHttp as open } from '../../support/http-scene.ts';
import { Subscriber } from '../../support/subscriber.ts';

const never = new AbortController().signal;

describe('http writer, CloudEvents', () => {
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

  describe('structured CloudEvents', () => {
    it('are one event a request, in order, each under an id of its own; the first that is not taken ends the write', async () => {
      const other = await open({ url: subscriber.url, format: 'cloudevents' });
      subscriber.answer = () => ({ status: subscriber.requests.length === 3 ? 422 : 200 });
      assert.equal((await failure(other.write(batch, never))).code, 'REJECTED');
      assert.deepEqual(
        subscriber.requests.map(({ headers }) => headers['webhook-id']),
        [1, 2, 3].map((n) => `ops_normal_1795000000000_${n}-${n}`),
      );
      await other.close();
    });

    it('want one event a write, so that what was taken is settled before the next', () => {
      const settings = (format: HttpSettings['format']): HttpSettings => httpSettings.parse({ url: 'http://h/', format });
      assert.equal(httpEventsMax(settings('cloudevents')), 1);
      assert.equal(httpEventsMax(settings('cloudevents-binary')), 1);
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

  describe('binary CloudEvents', () => {
    it('are taken by the cloudevents package as a whole request, each header one percent-decoding away from the attribute', async () => {
      const other = await open({ url: subscriber.url, format: 'cloudevents-binary' });
      const lines = [...nastyLines(), ...plainLines(1, 2)];
      const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const events = lines.map((line, i) => eventOf(line, i + 1));
      events.push(eventOf(JSON.stringify({ type: 'a.B', severity: 'critical', message: 'm', traceparent: trace })));
      await other.write(deliveries(events), never);
      assert.lengthOf(subscriber.requests, events.length);
      for (const [i, { headers, body }] of subscriber.requests.entries()) {
        const event = events[i]!;
        assert.equal(headers['content-type'], 'application/json');
        for (const [name, value] of Object.entries(headers)) if (name.startsWith('ce-')) assert.match(String(value), /^[\x21\x23-\x7e]+$/);
        // The package leaves the decoding to its users.
        const cloudEvent = HTTP.toEvent({ headers, body: body.toString() }) as CloudEvent<{ message: string; attributes: unknown }>;
        assert.isTrue(cloudEvent.validate());
        assert.equal(decodeURIComponent(cloudEvent.id), event.id);
        assert.equal(cloudEvent.type, event.type);
        const { site, node, component } = event.source;
        assert.deepEqual(decodeURIComponent(cloudEvent.source).slice(2).split('/').map(decodeURIComponent), [site, node, component]);
        assert.equal(headers['ce-time'], event.time);
        assert.equal(cloudEvent.severitytext, event.severity);
        assert.equal(cloudEvent.sequence, String(i + 1).padStart(16, '0'));
        assert.equal(cloudEvent.data?.message, event.message);
        assert.deepEqual(cloudEvent.data?.attributes, event.attributes);
      }
      assert.equal(subscriber.requests.at(-1)?.headers['ce-traceparent'], trace);
      await other.close();
    });

    it('are at fault themselves where their headers are too large for the server (431)', async () => {
      const [binary, structured] = [
        await open({ url: subscriber.url, format: 'cloudevents-binary' }),
        await open({ url: subscriber.url, format: 'cloudevents' }),
      ];
      subscriber.answer = () => ({ status: 431 });
      assert.equal((await failure(binary.write(batch, never))).code, 'REJECTED');
      assert.equal((await failure(structured.write(batch, never))).code, 'REFUSED');
      await Promise.all([binary.close(), structured.close()]);
    });

    it('encode what the HTTP binding says, and nothing else', async () => {
      const other = await open({ url: subscriber.url, format: 'cloudevents-binary' });
      const name = 'Euro \u20ac \u{1f600} "100%" a/b:c;d,e(f)\u0001';
      await other.write(
        deliveries([eventOf(JSON.stringify({ type: 'a.B', severity: 'info', message: 'm', object: { kind: 'K', name } }))]),
        never,
      );
      // The control character was percent-encoded before: an attribute may not hold it.
      const expected = 'K/Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22%20a/b:c;d,e(f)%2501';
      assert.equal(subscriber.requests[0]?.headers['ce-subject'], expected);
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
