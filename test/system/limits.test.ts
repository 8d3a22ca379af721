/** Events at their limits, through all of the way: recorder, 4 MiB messages, journal, batches of 1 MiB, HTTP. */
import { expect } from 'chai';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { LIMITS } from '../../core/event.ts';
import { uuidV7Bytes } from '../../core/uuid.ts';
import { encodeBatch } from '../../proto/batch-codec.ts';
import { RawClient } from '../support/raw-client.ts';
import { Site } from '../support/site.ts';
import { until } from '../support/until.ts';

describe('events at their limits', function () {
  this.timeout(60_000);
  let site: Site;

  beforeEach(async () => {
    site = await Site.start();
  });
  afterEach(() => site.end());

  it('every field at its limit, 150 events at once, and once more from the spool: equal at the destination', async () => {
    const { recorder } = await site.source('huge');
    const name = 'é'.repeat(LIMITS.nameBytes / 2);
    const object = { kind: name, name, namespace: name, tenant: name, uri: name };
    const message = '"\u0001'.repeat(LIMITS.messageBytes / 2); // four times as long in JSON
    const ids: (string | undefined)[] = [];
    const record = (): void => {
      const attributes = { n: ids.length, v: 'v'.repeat(LIMITS.attributesBytes - 30) };
      const details = { object, attributes, source: { node: name, component: name }, traceparent: name, dedupKey: name };
      ids.push(recorder.event('t'.repeat(LIMITS.typeChars), 'error', message, details));
    };
    while (ids.length < 150) record();
    await recorder.flush();
    await site.proxy.kill();
    while (ids.length < 300) record();
    await until('they are on disk', () => recorder.status().ledger.queued === 0, 20_000);
    await site.proxy.start();
    await until('all are delivered', () => site.ops.book.events.length >= 300, 30_000);
    const { events } = site.ops.book;
    expect(events.map(({ id }) => id)).to.deep.equal(ids);
    for (const [n, event] of events.entries()) {
      expect(event).to.deep.include({ message, object });
      expect(event.attributes.n).to.equal(n);
    }
    expect(site.ops.book.problems()).to.deep.equal([]);
    expect(recorder.status().ledger).to.include({ recorded: 300, settled: 300, dropped: 0, rejected: 0 });
  });

  it('64 KiB to the byte, 63 of them in one message: taken and delivered; one byte more is rejected alone', async () => {
    const client = new RawClient(site.proxy.address);
    const eventOf = (n: number, bytes: number): Buffer => {
      const writer = new ProtobufWriter();
      writer.text(1, 'a.B');
      writer.uint(2, 9);
      writer.text(5, `event ${n}`);
      const rest = bytes - writer.length;
      writer.bytes(99, Buffer.alloc(rest - 5)); // a field of a later version, with a tag of two bytes and a length of three
      return Buffer.from(writer.view());
    };
    const events = Array.from({ length: 63 }, (_, n) => eventOf(n, LIMITS.eventBytes));
    expect(events[0]).to.have.length(LIMITS.eventBytes);
    const batch = (after: number, some: readonly Buffer[]): Buffer =>
      encodeBatch({
        series,
        lane: 'normal',
        after,
        settled: 0,
        settledBy: '',
        isGone: false,
        lost: [],
        isClosing: false,
        sender: { node: 'n1', component: 'raw' },
        events: some,
      });
    const series = uuidV7Bytes(Date.now());
    const { replies } = await client.stream(batch(0, events), batch(63, [eventOf(63, LIMITS.eventBytes + 1), eventOf(64, 100)]));
    client.close();
    expect(replies.map(({ settled }) => settled)).to.deep.equal([63, 65]);
    expect(replies[1]!.rejections).to.deep.equal([{ seq: 64, reason: 'event must be at most 65536 bytes, got 65537' }]);
    await until('all are delivered', () => site.ops.book.events.length === 64, 10_000);
    expect(site.ops.book.events.map(({ message }) => message)).to.deep.equal([...events.keys(), 64].map((n) => `event ${n}`));
    expect(await site.drained()).to.include({ isBalanced: true, rejected: 1 });
  });
});
