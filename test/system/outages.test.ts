import { expect } from 'chai';
import { pause } from '../support/pause.ts';
import { settledIds, Site } from '../support/site.ts';
import { until } from '../support/until.ts';

describe('the proxy is away', function () {
  this.timeout(300_000);
  let site: Site;

  beforeEach(async () => {
    site = await Site.prepare({ dedup: '1s' });
  });
  afterEach(() => site.end());

  it('before the recorder starts: what was recorded arrives when it comes, the critical events first', async () => {
    const child = site.agent('early', { count: 2000, perBurst: 200, pauseMs: 20 });
    await until('all is recorded', () => child.lines('recorded').length > 0, 20_000);
    await site.proxy.start();
    await settledIds(child);
    await site.expectCounted(2000);
    expect(site.ops.book.deliveries.slice(0, 4).map(({ severity }) => severity)).to.deep.equal(Array(4).fill('critical'));
  });

  it('in the middle: the recorder goes on, and nothing is missing', async () => {
    await site.proxy.start();
    const child = site.agent('middle', { count: 3000, perBurst: 50, pauseMs: 20 });
    await until('events flow', () => site.ops.book.events.length > 100, 20_000);
    await site.proxy.kill();
    await pause(700);
    await site.proxy.start();
    await settledIds(child);
    await site.expectCounted(3000);
  });

  it('is the first of two: the recorder goes on at the second and back; only what was in flight is at both, under the same ids', async () => {
    const second = await Site.start({ dedup: '0s' });
    try {
      await site.proxy.start();
      const source = await site.source('fail-over', { proxy: [site.proxy.address, second.proxy.address] });
      const { recorder, ids } = source;
      source.record(500);
      await until('the first has some', () => site.ops.book.events.length > 0, 20_000);
      await site.proxy.kill();
      const inFlight = 500 - recorder.status().ledger.settled;
      source.record(500);
      await until('the second has taken over', () => recorder.status().ledger.settled === 1000, 20_000);
      await site.proxy.start();
      await second.proxy.kill();
      source.record(500);
      await until('the first is back', () => recorder.status().ledger.settled === 1500, 20_000);
      await second.proxy.start();
      await Promise.all([site.drained(), second.drained()]);
      const at = [site, second].map(({ ops }) => new Set(ops.book.events.map(({ id }) => id)));
      const all = [...ids.urgent, ...ids.normal];
      expect(all.filter((id) => !at.some((seen) => seen.has(id)))).to.deep.equal([]);
      expect([...at[0]!, ...at[1]!].filter((id) => !all.includes(id))).to.deep.equal([]);
      expect([...at[0]!].filter((id) => at[1]!.has(id)).length).to.be.at.most(inFlight);
      for (const { ops, proxy } of [site, second]) {
        expect(ops.book.problems()).to.deep.equal([]);
        expect(ops.book.own('fondaco.Loss')).to.deep.equal([]);
        expect(await proxy.verify()).to.include({ isGood: true });
      }
    } finally {
      await second.end();
    }
  });
});
