/**
 * SIGKILL at random: of the proxy, of agents, of both at once, while events flow and dedup folds about a third of them. What `record()`
 * confirmed is never lost, nothing is counted twice, the order holds from one life of an agent to the next, and the books balance.
 *
 * Short by default; `npm run test:long` (FONDACO_LONG=1) kills the proxy 50 times and agents 20 times. The seed is printed; FONDACO_SEED repeats it.
 */
import { expect } from 'chai';
import { ConfirmingSource } from '../support/confirming-source.ts';
import { numbered } from '../support/numbered.ts';
import { pause } from '../support/pause.ts';
import type { Delivered } from '../support/record-book.ts';
import { freshSeed, seeded } from '../support/seeded.ts';
import { Site } from '../support/site.ts';
import { until } from '../support/until.ts';

const SHORT = { proxyKills: 20, agentKills: 5, events: 20_000, perBurst: 40, pauseMs: 60 };
const LONG = { proxyKills: 50, agentKills: 20, events: 80_000, perBurst: 40, pauseMs: 120 };
const plan = process.env.FONDACO_LONG === undefined ? SHORT : LONG;

interface Kill {
  readonly afterMs: number;
  readonly proxy: boolean;
  /** Which agent; undefined for none. */
  readonly agent: number | undefined;
}

describe('killed at random', function () {
  this.timeout(900_000);
  let site: Site;
  let sources: ConfirmingSource[];
  const seed = freshSeed();

  before(async () => {
    site = await Site.start({ dedup: '1s' });
    const { perBurst, pauseMs } = plan;
    sources = ['left', 'right'].map((name) => new ConfirmingSource(site, name, { count: plan.events / 2, perBurst, pauseMs }));
  });
  after(() => site.end());

  const name = `the proxy ${plan.proxyKills} times, agents ${plan.agentKills} times, ${plan.events} events, FONDACO_SEED=${seed}`;
  it(`${name}: all that was confirmed arrives, counted exactly, in order`, async () => {
    for (const source of sources) source.start();
    await until('events flow', () => site.ops.book.events.length > 100, 30_000);
    for (const kill of schedule(seed)) {
      await pause(kill.afterMs);
      if (kill.proxy) await site.proxy.kill();
      if (kill.agent !== undefined) await sources[kill.agent]!.killAndRestart();
      if (!kill.proxy) continue;
      await site.proxy.start();
      expect(await site.proxy.ledger()).to.include({ isBalanced: true, dedupDiscrepancy: 0 });
    }
    for (const source of sources) await source.ended();
    await site.drained(60_000);
    await expectKept(site, sources);
  });
});

/** All kills in order: agents alone, the proxy alone, and both at once. */
function schedule(seed: number): Kill[] {
  const random = seeded(seed);
  const kills: Kill[] = [];
  let { proxyKills, agentKills } = plan;
  while (proxyKills + agentKills > 0) {
    const isProxy = proxyKills > 0 && (agentKills === 0 || random() < 0.8);
    const isAgent = agentKills > 0 && (!isProxy || random() < 0.25);
    if (isProxy) proxyKills--;
    if (isAgent) agentKills--;
    kills.push({ afterMs: Math.floor(30 + random() * 900), proxy: isProxy, agent: isAgent ? Math.floor(random() * 2) : undefined });
  }
  return kills;
}

async function expectKept(site: Site, sources: readonly ConfirmingSource[]): Promise<void> {
  const { book } = site.ops;
  const added = new Map<string, number>();
  for (const event of book.events) added.set(event.message, (added.get(event.message) ?? 0) + event.added);
  const ids = new Set(book.events.map(({ id }) => id));
  let [tried, confirmed] = [0, 0];
  for (const source of sources) {
    const log = source.log();
    expect(log.tried).to.equal(source.count);
    tried += log.tried;
    confirmed += log.confirmed.size;
    for (let n = 1; n <= source.count; n++) expectCounts(source.component, n, log.confirmed, { added, ids });
    expectOrder(source.component, book.events);
  }
  expect(book.problems()).to.deep.equal([]);
  expect(book.own('fondaco.Loss')).to.deep.equal([]);
  const ledger = await site.proxy.ledger();
  expect(ledger).to.include({ isBalanced: true, dedupDiscrepancy: 0, rejected: 0, lost: 0, added: book.added });
  expect(ledger.accepted.urgent + ledger.accepted.normal).to.equal(book.added);
  const { checks } = await site.proxy.verify();
  expect(checks.filter(({ isGood }) => !isGood)).to.deep.equal([]);
  expect(book.added).to.be.within(confirmed, tried);
}

interface Arrived {
  /** Σ `added`, by message. */
  readonly added: ReadonlyMap<string, number>;
  readonly ids: ReadonlySet<string>;
}

/** Of the events that look the same, at least those arrived that were confirmed, and at most those that were tried. */
function expectCounts(component: string, n: number, confirmed: ReadonlyMap<number, { id: string }>, { added, ids }: Arrived): void {
  const [message, next] = [numbered(component, n)[2], numbered(component, n + 1)[2]];
  const isRepeat = !message.endsWith(` ${n}`);
  const id = confirmed.get(n)?.id;
  if (!isRepeat && id !== undefined) expect(ids.has(id), `${message}, confirmed as ${id}`).to.equal(true);
  if (isRepeat) return;
  const same = next === message ? [n, n + 1] : [n];
  expect(added.get(message) ?? 0, message).to.be.within(same.filter((number) => confirmed.has(number)).length, same.length);
}

/** By the numbers that the agent gave, whatever the life and its series: what an earlier life left comes before what a later one records. */
function expectOrder(component: string, events: readonly Delivered[]): void {
  const last = { urgent: 0, normal: 0 };
  for (const { message, revision, source, delivery } of events) {
    if (source.component !== component || revision > 0) continue;
    const n = Number(message.slice(message.lastIndexOf(' ') + 1));
    expect(n, `${message} after ${last[delivery.lane]}`).to.be.at.least(last[delivery.lane]); // equal: a repeat that was not folded
    last[delivery.lane] = n;
  }
}
