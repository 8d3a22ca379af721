/**
 * The scenarios that Venice's event recorder is tested with, each with exact counts: these ids and no others, each series in its order, no
 * seq missing, the books balanced. First part: recorders and the proxy. The destinations are in venice-destinations.test.ts.
 */
import { expect } from 'chai';
import { pause } from '../support/pause.ts';
import type { Delivered } from '../support/record-book.ts';
import { Destination } from '../support/destination.ts';
import { agentBooks, settledIds, Site, type RecordedIds } from '../support/site.ts';
import { until } from '../support/until.ts';

describe("Venice's scenarios: recorders and the proxy", function () {
  this.timeout(120_000);
  let site: Site;

  afterEach(() => site.end());

  it('concurrent recorders: processes and several in one process, two of them of one component', async () => {
    site = await Site.start();
    const agents = ['a', 'b', 'same'].map((name) => site.agent(name, { count: 1000, perBurst: 20, pauseMs: 5 }));
    const sources = await Promise.all(['c', 'd', 'same', 'same'].map((name) => site.source(name)));
    for (let round = 0; round < 50; round++) {
      for (const source of sources) source.record(10);
      await pause(5);
    }
    for (const { recorder } of sources) await recorder.flush();
    const ids = await Promise.all(agents.map(settledIds));
    await site.expectExactly([...ids, ...sources.map((source) => source.ids)], { isRepeatFree: true });
  });

  it('the proxy is down for 2 s and comes back, while events are recorded every 10 ms', async () => {
    site = await Site.start();
    const agent = site.agent('steady', { count: 350, perBurst: 1, pauseMs: 10 });
    await until('events flow', () => site.ops.book.events.length > 20, 20_000);
    await site.proxy.kill();
    await pause(2000);
    await site.proxy.start();
    await site.expectExactly([await settledIds(agent)]);
  });

  it('the proxy is never there: events wait on disk, counted, and a later recorder of the component sends them first', async () => {
    site = await Site.prepare();
    const lives: RecordedIds[] = [];
    for (const count of [300, 200]) {
      const agent = site.agent('lonely', { count, perBurst: 50, pauseMs: 5, until: 'durable' });
      const { ids, ledger } = await agentBooks(agent);
      expect(ledger).to.deep.equal({ recorded: count, settled: 0, spooled: count, queued: 0, dropped: 0, rejected: 0 });
      lives.push(ids);
    }
    const last = await site.source('lonely');
    await until('it has found what waits', () => last.recorder.status().older.events === 500);
    expect(last.recorder.status().older.lives).to.equal(2);
    last.record(5);
    await site.proxy.start();
    await last.recorder.flush();
    await site.expectExactly([...lives, last.ids], { isRepeatFree: true });
    const components = site.ops.book.events.map(({ source, id }) => [source.component, id]);
    expect(components).to.deep.equal([...lives[0]!.normal, ...lives[1]!.normal, ...last.ids.normal].map((id) => ['lonely', id]));
    expect(last.recorder.status().older).to.include({ lives: 0, events: 0 });
  });

  it('the proxy lives for 60 ms at a time, for 3 s', async () => {
    site = await Site.start();
    const agents = ['x', 'y'].map((name) => site.agent(name, { count: 1500, perBurst: 5, pauseMs: 10 }));
    const end = performance.now() + 3000;
    let lives = 0;
    for (; performance.now() < end || lives < 3; lives++) {
      await pause(60);
      await site.proxy.kill();
      await site.proxy.start();
    }
    await site.expectExactly(await Promise.all(agents.map(settledIds)));
  });

  it('10 x 10 duplicates: 10 deliveries, and then 10 summaries that make the counts 10 each', async () => {
    site = await Site.start({ dedup: '700ms' });
    const { recorder } = await site.source('storm');
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 10; n++) recorder.event('test.Storm', 'warn', `storm ${n}`, { attributes: { n } });
    }
    await recorder.flush();
    await site.expectCounted(100);
    const { events } = site.ops.book;
    expect(countsOf(events)).to.deep.equal([
      ...Array.from({ length: 10 }, (_, n) => [`storm ${n}`, 0, 1, 1]),
      ...Array.from({ length: 10 }, (_, n) => [`storm ${n}`, 1, 10, 9]),
    ]);
    const firsts = events.slice(0, 10);
    for (const [i, summary] of events.slice(10).entries()) {
      const first = firsts[i]!;
      expect(summary).to.include({ id: `${first.id}.1`, summarizes: first.id, firstTime: first.time });
      expect(summary.attributes).to.deep.equal(first.attributes);
    }
    expect((await site.proxy.ledger()).writers[0]!.lanes.normal).to.include({ accepted: 100, made: 10, delivered: 20, folded: 90 });
  });

  it('a window is not extended by recurrences: while they go on, it ends, and the next begins', async () => {
    site = await Site.start({ dedup: '500ms' });
    const { recorder } = await site.source('storm');
    const firsts = (): Delivered[] => site.ops.book.events.filter(({ revision }) => revision === 0);
    let recorded = 0;
    const end = performance.now() + 20_000;
    while (firsts().length < 4 && performance.now() < end) {
      recorder.event('test.Storm', 'warn', 'it goes on');
      recorded++;
      await pause(20); // far shorter than the window
    }
    expect(firsts()).to.have.length(4);
    await recorder.flush();
    await site.expectCounted(recorded);
    // Each first has one summary of its own, and all that was recorded is in exactly one of the windows.
    const { events } = site.ops.book;
    const windows = firsts().map(({ id }) => 1 + sum(events.filter(({ summarizes }) => summarizes === id).map(({ added }) => added)));
    expect(sum(windows)).to.equal(recorded);
    for (const { summarizes, count } of events.filter(({ revision }) => revision === 1)) {
      expect(count).to.equal(windows[firsts().findIndex(({ id }) => id === summarizes)]);
    }
  });

  for (const [sources, writers] of [
    [1, 1],
    [1, 10],
    [10, 1],
    [10, 10],
  ] as const) {
    it(`sources: ${sources}, writers: ${writers}: every destination has every event once`, async () => {
      const destinations = await Promise.all(Array.from({ length: writers }, (_, n) => Destination.open(`ops-${n}`)));
      site = await Site.start({ destinations });
      const recording = await Promise.all(Array.from({ length: sources }, (_, n) => site.source(`source-${n}`)));
      for (let round = 0; round < 20; round++) {
        for (const source of recording) source.record(10);
        await pause(2);
      }
      await Promise.all(recording.map(({ recorder }) => recorder.flush()));
      await site.expectExactly(
        recording.map(({ ids }) => ids),
        { isRepeatFree: true },
      );
    });
  }
});

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

function countsOf(events: readonly Delivered[]): [message: string, revision: number, count: number, added: number][] {
  return events.map(({ message, revision, count, added }) => [message, revision, count, added]);
}
