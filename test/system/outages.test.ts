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
});
