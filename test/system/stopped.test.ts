/** Processes that are there and do nothing (SIGSTOP): worse than dead ones, because connections to them stay up. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { pause } from '../support/pause.ts';
import type { AgentScript } from '../support/recorder-agent.ts';
import { settledIds, Site } from '../support/site.ts';
import { until } from '../support/until.ts';

const HOST = fileURLToPath(new URL('../support/recorder-agent.ts', import.meta.url));

describe('a stopped proxy', function () {
  this.timeout(60_000);
  let site: Site;

  beforeEach(async () => {
    site = await Site.start();
  });
  afterEach(() => site.end());

  it('for 3 s while events are recorded: every one, once it goes on', async () => {
    const agent = site.agent('steady', { count: 1000, perBurst: 4, pauseMs: 10 });
    await until('events flow', () => site.ops.book.events.length > 50, 20_000);
    site.proxy.child.process.kill('SIGSTOP');
    await pause(3000);
    site.proxy.child.process.kill('SIGCONT');
    await site.expectExactly([await settledIds(agent)]);
  });

  it('keeps no agent from ending: closeOn waits its 2 s, dies of the signal, and the next life delivers all of it', async () => {
    const script: AgentScript = { proxy: site.proxy.address, directory: site.spool, events: 0, then: 'record-on', closeOn: ['SIGTERM'] };
    const agent = site.child(HOST, script);
    await until('events flow', () => site.ops.book.events.length > 50, 20_000);
    site.proxy.child.process.kill('SIGSTOP');
    const before = agent.lines('n').length;
    await until('it records on', () => agent.lines('n').length > before + 100, 20_000);
    const { code, signal } = await agent.kill('SIGTERM');
    expect([code, signal]).to.deep.equal([null, 'SIGTERM']);
    const recorded = agent.lines('n').at(-1)!.n as number;
    site.proxy.child.process.kill('SIGCONT');
    const next = await site.source('agent');
    await until('the next life has seen to it', () => next.recorder.status().older.lives === 0, 20_000);
    await site.drained();
    const { events } = site.ops.book;
    // Also what was recorded after the last line that it could print.
    expect(events.length).to.be.at.least(recorded);
    expect(events.map(({ message }) => message)).to.deep.equal(Array.from(events, (_, n) => `a${n + 1}`));
    expect(site.ops.book.problems()).to.deep.equal([]);
    expect(await site.proxy.ledger()).to.include({ isBalanced: true, lost: 0, rejected: 0 });
  });
});
