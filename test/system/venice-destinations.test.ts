/** Venice's scenarios, second part: destinations that go, come, hang, move and lag, each with exact counts. The first is venice.test.ts. */
import { expect } from 'chai';
import { Destination } from '../support/destination.ts';
import { pause } from '../support/pause.ts';
import { arrayMembers } from '../support/received.ts';
import { RecordBook } from '../support/record-book.ts';
import { Site } from '../support/site.ts';
import type { SeenRequest } from '../support/subscriber.ts';
import { until } from '../support/until.ts';

describe("Venice's scenarios: destinations", function () {
  this.timeout(120_000);
  let site: Site;

  afterEach(() => site.end());

  it('restart and re-delivery from the cursor: what was not settled comes again, byte for byte, and nothing before it', async () => {
    site = await Site.start();
    const { ops, proxy } = site;
    const source = await site.source('cmd');
    await source.settle(100);
    await until('the first 100 are delivered', () => ops.book.events.length === 100);
    await site.drained();
    ops.answer = () => 'cut'; // it has read the batch, and its answer gets lost
    const before = ops.requests.length;
    await source.settle(100);
    await until('both lanes were tried', () => new Set(ops.requests.slice(before).map(laneOf)).size === 2, 10_000);
    const unanswered = ops.requests.slice(before);
    await ops.leave();
    await proxy.kill();
    await proxy.start();
    await until('it was tried in vain', async () => (await proxy.status()).writers[0]!.state === 'retrying', 10_000);
    await proxy.kill(); // and once more while the destination is away
    ops.answer = () => ({ status: 200 });
    await ops.comeBack();
    await proxy.start();
    await site.expectExactly([source.ids], { isRepeatFree: true });
    const first = new Map(unanswered.flatMap(textsById));
    expect(first.size).to.be.greaterThan(10);
    const again = new Map(ops.requests.slice(before + unanswered.length).flatMap(textsById));
    for (const [id, text] of first) expect(again.get(id), id).to.equal(text);
    const keys = (requests: readonly SeenRequest[]): unknown[] =>
      requests.map(({ headers, body }) => [headers['webhook-id'], String(body)]);
    for (const attempt of keys(unanswered.slice(0, 1)))
      expect(keys(ops.requests.slice(before + unanswered.length))).to.deep.include(attempt);
  });

  it('a writer that is added later gets what comes from then on; the other goes on as if nothing was', async () => {
    site = await Site.start();
    const { ops, proxy } = site;
    const source = await site.source('cmd');
    await source.settle(100);
    await site.expectExactly([source.ids], { isRepeatFree: true });
    const late = await Destination.open('late');
    await proxy.stop();
    await site.configure([ops, late]);
    await proxy.start();
    const after = source.ids.normal.length;
    await source.settle(100);
    await until('both have them', () => ops.book.events.length === 200 && late.book.events.length === 100, 10_000);
    const ledger = await site.drained();
    const normal = (book: RecordBook): string[] => book.events.filter(({ delivery }) => delivery.lane === 'normal').map(({ id }) => id);
    expect(normal(ops.book)).to.deep.equal(source.ids.normal);
    expect(normal(late.book)).to.deep.equal(source.ids.normal.slice(after));
    for (const { book } of [ops, late]) expect(book.problems({ isRepeatFree: true })).to.deep.equal([]);
    expect(ledger.isBalanced).to.equal(true);
    expect(ledger.writers.map(({ name, lanes }) => [name, lanes.normal.accepted, lanes.normal.delivered])).to.have.deep.members([
      ['ops', 180, 180],
      ['late', 90, 90],
    ]);
  });

  it('a slow writer is late, and no other is', async () => {
    const [slow, fast] = [await Destination.open('slow', { eventsMax: 40 }), await Destination.open('fast')];
    slow.answer = () => ({ status: 200, delayMs: 150 });
    site = await Site.start({ destinations: [slow, fast] });
    const source = await site.source('cmd');
    await source.settle(400);
    await until('the fast one has all', () => fast.book.events.length === 400, 10_000);
    expect(slow.book.events.length).to.be.lessThan(400);
    await site.expectExactly([source.ids], { isRepeatFree: true });
  });

  it('a slow writer gets everything across the retention, which takes only what it has', async () => {
    const [slow, fast] = [await Destination.open('slow', { eventsMax: 40 }), await Destination.open('fast')];
    slow.answer = () => ({ status: 503 });
    site = await Site.start({ destinations: [slow, fast], retention: '1s' });
    const source = await site.source('cmd');
    await source.settle(400);
    await until('the fast one has all', () => fast.book.events.length === 400, 10_000);
    await pause(4000);
    const kept = async (): Promise<number> => (await site.proxy.status()).journal.bytes;
    expect(await kept()).to.be.above(0);
    slow.answer = () => ({ status: 200, delayMs: 50 });
    await site.expectExactly([source.ids]);
    await until('what both have is given up', async () => (await kept()) === 0, 20_000);
  });

  it('a destination that is restarted 3 times while events flow has all of them, and repeats are equal', async () => {
    const [ops, other] = [await Destination.open('ops', { eventsMax: 20 }), await Destination.open('other')];
    ops.answer = () => ({ status: 200, delayMs: 5 });
    site = await Site.start({ destinations: [ops, other] });
    const source = await site.source('cmd');
    for (let restart = 0; restart < 3; restart++) {
      for (let burst = 0; burst < 10; burst++) {
        source.record(20);
        await pause(5);
      }
      await ops.leave();
      source.record(100);
      await pause(200);
      await ops.comeBack();
    }
    await source.recorder.flush();
    await site.expectExactly([source.ids]);
    expect(other.book.problems({ isRepeatFree: true })).to.deep.equal([]);
  });

  it('a destination that starts late gets everything, the urgent events first', async () => {
    const [late, other] = [await Destination.reserve('late'), await Destination.open('other')];
    site = await Site.start({ destinations: [late, other] });
    const source = await site.source('cmd');
    await source.settle(300);
    await until('the other has all', () => other.book.events.length === 300, 10_000);
    expect((await site.proxy.ledger()).writers.find(({ name }) => name === 'late')!.lanes).to.deep.include({
      urgent: { ...NOTHING, accepted: 30, pending: 30 },
      normal: { ...NOTHING, accepted: 270, pending: 270 },
    });
    await late.comeBack();
    await site.expectExactly([source.ids], { isRepeatFree: true });
    expect(late.book.deliveries.slice(0, 30).map(({ id }) => id)).to.deep.equal(source.ids.urgent);
  });

  it('a changed target: the writer of the same name goes on from its cursor at the new place, in the same numbers', async () => {
    const [ops, moved] = [await Destination.open('ops'), await Destination.open('ops')];
    site = await Site.start({ destinations: [ops] });
    const source = await site.source('cmd');
    await source.settle(100);
    await until('the first 100 are delivered', () => ops.book.events.length === 100, 10_000);
    await site.drained();
    ops.answer = () => ({ status: 503 });
    await source.settle(100);
    await until('it was tried', async () => (await site.proxy.status()).writers[0]!.state === 'retrying', 10_000);
    await site.proxy.stop();
    await site.configure([moved]);
    await site.proxy.start();
    await until('the new place has the second 100', () => moved.book.events.length === 100, 10_000);
    const ledger = await site.drained();
    expect(ledger.writers).to.have.length(1);
    expect(ledger.writers[0]!.lanes.normal).to.include({ accepted: 180, delivered: 180, dead: 0, dropped: 0 });
    expect(ledger.isBalanced).to.equal(true);
    // Read one after the other, the two books are the one of a single destination: same series, no seq missing, none twice.
    const both = new RecordBook();
    both.deliveries.push(...ops.book.deliveries, ...moved.book.deliveries);
    both.texts.push(...ops.book.texts, ...moved.book.texts);
    expect(both.problems({ isRepeatFree: true })).to.deep.equal([]);
    expect(both.events.filter(({ delivery }) => delivery.lane === 'normal').map(({ id }) => id)).to.deep.equal(source.ids.normal);
    expect(new Set(both.deliveries.map(({ delivery }) => delivery.series)).size).to.equal(2);
  });
});

/** The books of a lane that nothing has come of yet. */
const NOTHING = { made: 0, delivered: 0, folded: 0, filtered: 0, dead: 0, expired: 0, dropped: 0, discrepancy: 0 };

function textsById({ body }: SeenRequest): [id: string, text: string][] {
  return arrayMembers(body.toString()).map((text) => [(JSON.parse(text) as { id: string }).id, text]);
}

function laneOf({ body }: SeenRequest): string {
  return (JSON.parse(body.toString()) as { delivery: { lane: string } }[])[0]!.delivery.lane;
}
