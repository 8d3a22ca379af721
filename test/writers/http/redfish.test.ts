import { assert } from 'chai';
import type { HttpWriter } from '../../../writers/http/writer.ts';
import { deliveries, eventOf, nastyLines } from '../../support/deliveries.ts';
import { openHttp } from '../../support/http-scene.ts';
import { Subscriber } from '../../support/subscriber.ts';

const never = new AbortController().signal;

/** What schema Event v1.7.0 knows of an event and of a record, and what it wants to be there. */
const EVENT = ['@odata.type', 'Id', 'Name', 'Context', 'Events'];
const RECORD = [
  'MemberId',
  'EventType',
  'EventId',
  'EventTimestamp',
  'Severity',
  'MessageSeverity',
  'Message',
  'MessageId',
  'MessageArgs',
  'OriginOfCondition',
  'Oem',
];
const MESSAGE_ID = /^[A-Za-z0-9]+\.\d+\.\d+\.[A-Za-z0-9.]+$/;
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

interface RedfishEvent {
  readonly Id: string;
  readonly Context: string;
  readonly Events: readonly Record<string, unknown>[];
}

describe('http writer, Redfish events', () => {
  let subscriber: Subscriber;
  let writer: HttpWriter;

  beforeEach(async () => {
    subscriber = await Subscriber.open();
    writer = await openHttp({ url: subscriber.url, format: 'redfish', redfish: { context: 'rack "7" ∆' } });
  });
  afterEach(async () => {
    await writer.close();
    await subscriber.close();
  });

  async function send(lines: readonly string[]): Promise<RedfishEvent> {
    await writer.write(deliveries(lines.map((line, i) => eventOf(line, i + 1))), never);
    const { headers, body } = subscriber.requests.at(-1)!;
    assert.equal(headers['content-type'], 'application/json');
    return JSON.parse(body.toString()) as RedfishEvent;
  }

  it('are as the schema has them, whatever is in an event', async () => {
    const lines = nastyLines();
    const event = await send(lines);
    assert.sameMembers(Object.keys(event), EVENT);
    assert.equal(event['@odata.type' as keyof RedfishEvent], '#Event.v1_7_0.Event');
    assert.equal(event.Context, 'rack "7" ∆');
    assert.equal(event.Id, subscriber.requests[0]!.headers['webhook-id']);
    assert.lengthOf(event.Events, lines.length);
    for (const [i, record] of event.Events.entries()) {
      assert.includeMembers(RECORD, Object.keys(record));
      const { MemberId, EventType, EventTimestamp, Severity, MessageSeverity, MessageId, MessageArgs } = record;
      assert.equal(MemberId, String(i));
      assert.equal(EventType, 'Alert');
      assert.match(String(EventTimestamp), DATE_TIME);
      assert.oneOf(Severity, ['OK', 'Warning', 'Critical']);
      assert.equal(MessageSeverity, Severity);
      assert.match(String(MessageId), MESSAGE_ID);
      assert.deepEqual(MessageArgs, []);
    }
  });

  it('name severity, type, object and revision in the words of Redfish', async () => {
    const line = (severity: string, more: object = {}): string =>
      JSON.stringify({ type: 'disk.Smart_Failed-2', severity, message: 'm', ...more });
    const uri = '/redfish/v1/Systems/1/Storage/1/Drives/2';
    const { Events } = await send([
      ...['debug', 'info', 'warn', 'error'].map((severity) => line(severity)),
      line('critical', { object: { uri } }),
    ]);
    assert.deepEqual(
      Events.map(({ Severity }) => Severity),
      ['OK', 'OK', 'Warning', 'Critical', 'Critical'],
    );
    assert.equal(Events[0]!.MessageId, 'Fondaco.1.0.disk.SmartFailed2');
    assert.notProperty(Events[0], 'OriginOfCondition');
    assert.deepEqual(Events[4]!.OriginOfCondition, { '@odata.id': uri });
    const summary = eventOf(line('warn'), 3);
    const first = summary.id;
    Object.assign(summary, { id: `${first}.2`, revision: 2, count: 30, added: 10, summarizes: first });
    await writer.write(deliveries([summary]), never);
    const [record] = (JSON.parse(subscriber.requests[1]!.body.toString()) as RedfishEvent).Events;
    assert.equal(record!.EventId, `${first}.2`);
    assert.deepInclude((record!.Oem as { Fondaco: object }).Fondaco, {
      type: 'disk.Smart_Failed-2',
      revision: 2,
      count: 30,
      summarizes: first,
    });
  });

  it('give back what came from Redfish, and nothing that Redfish would not take', async () => {
    const own = {
      EventType: 'ResourceAdded',
      MessageId: 'ResourceEvent.1.2.0.ResourceCreated',
      MessageArgs: ['/redfish/v1/Systems/1', ''],
    };
    const wrong = { EventType: 'x"', MessageId: 'no registry', MessageArgs: ['a', 1] };
    const lines = [own, wrong].map((attributes) => JSON.stringify({ type: 'odim.Event', severity: 'info', message: 'm', attributes }));
    const { Events } = await send(lines);
    assert.deepInclude(Events[0], own);
    assert.deepInclude(Events[1], { EventType: 'Alert', MessageId: 'Fondaco.1.0.odim.Event', MessageArgs: [] });
  });

  it('carry the registry of the settings, and an empty Context where none is set', async () => {
    const other = await openHttp({ url: subscriber.url, format: 'redfish', redfish: { registry: 'Acme.2.11' } });
    await other.write(deliveries([eventOf('{"type":"a.B","severity":"info","message":"m"}')]), never);
    const { Context, Events } = JSON.parse(subscriber.requests[0]!.body.toString()) as RedfishEvent;
    assert.equal(Context, '');
    assert.equal(Events[0]!.MessageId, 'Acme.2.11.a.B');
    await other.close();
  });
});
