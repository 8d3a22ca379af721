/**
 * Urgent first, however much lies before it: in a recorder's spool, in the journal before a slow subscriber, at a writer that waits. What is
 * judged is counted, not timed: the normal batches that a subscriber got between an urgent event's arrival and its delivery, the urgent
 * ones between two normal ones, and attempts.
 */
import type { LoadSource } from '../support/load-source.ts';
import { LoadSite } from '../support/load-site.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

interface Plan {
  readonly backlog: number;
  readonly times: number;
  /** How long the slow subscriber takes for a batch. */
  readonly answerMs: number;
  /** At once, in the flood: more than a row of batches holds. */
  readonly critical: number;
}

const PLANS: Record<CampaignOrder['form'], Plan> = {
  short: { backlog: 25_000, times: 3, answerMs: 60, critical: 4_000 },
  long: { backlog: 1_000_000, times: 50, answerMs: 100, critical: 25_000 },
};

/** The batch in flight. */
const NORMAL_BEFORE_MAX = 1;
/** Batches of the urgent lane in a row while the normal one waits (dispatcher/lane-order.ts). */
const URGENT_RUN_MAX = 4;
/** Events that the session of a recorder has on its way at most (proto/session.ts): 4 MiB, the batch that goes beyond it, and the one being read. */
const ON_THE_WAY = Math.ceil((4 * 1024 * 1024) / 270) + 2 * 1000;
const BACK_OFF_MS = 300_000;
const LIMIT_MS = 1_800_000;

const campaign: Campaign = {
  title: 'urgent events before any backlog',
  repeats: 'a write that a fault cut off comes again whole, under the same ids and numbers',
  async *run({ form, progress }: CampaignOrder): AsyncIterable<FaultRow> {
    const plan = PLANS[form];
    const stages = [behindSpool(plan), inBackOff(plan, 'refused'), ...(form === 'long' ? [inBackOff(plan, 'away')] : [])];
    let done = 0;
    for (const stage of stages) {
      for await (const row of stage) yield row;
      progress(++done, stages.length);
    }
  },
};
export default campaign;

/** One backlog on its way: it waits in the spool, then it drains, then it waits in the journal. */
async function* behindSpool(plan: Plan): AsyncIterable<FaultRow> {
  const site = await LoadSite.prepare();
  try {
    const source = await site.source('agent');
    await site.ops.open();
    site.ops.delayMs = plan.answerMs;
    await source.ask({ do: 'fill', count: plan.backlog }, LIMIT_MS);
    yield await fromSpool(site, source);
    yield await whileDraining(site, source, plan);
    await source.ask({ do: 'drain' }, LIMIT_MS);
    yield await fromJournal(site, source, plan);
    yield await flood(site, source, plan);
  } finally {
    await site.end();
  }
}

/** It is recorded last, and arrives first. */
async function fromSpool(site: LoadSite, source: LoadSource): Promise<FaultRow> {
  const { recorded } = await source.ask({ do: 'fill', count: 1, severity: 'critical' });
  await site.startProxy();
  await until('the urgent event arrives', () => site.ops.count('urgent') > 0, 60_000);
  await until('the normal lane moves', () => site.ops.count('normal') > 0, 60_000);
  const { batches } = site.ops;
  const before = batches.findIndex(({ lane }) => lane === 'urgent');
  // Within one commit all are received at the same time; a recorder that sends others first has them in one before.
  const isFirst = batches.find(({ lane }) => lane === 'normal')!.receivedAt >= batches[before]!.receivedAt;
  return {
    ...row(`a critical event behind ${count(recorded - 1)} in the spool, the proxy comes`, 1, recorded),
    measured: { 'normal batches before it': before },
    missed: [
      ...over('normal batches before the critical event', before, NORMAL_BEFORE_MAX),
      ...(isFirst ? [] : ['the proxy to receive the critical event first, got others before it']),
    ],
  };
}

/** While the spool is on its way, the session is full of it. */
async function whileDraining(site: LoadSite, source: LoadSource, plan: Plan): Promise<FaultRow> {
  let most = 0;
  let injected = 0;
  let recorded = 0;
  for (; injected < plan.times; injected++) {
    if ((await source.ask({ do: 'status' })).spooled < plan.backlog / 10) break;
    const answer = await source.ask({ do: 'urgent' });
    most = Math.max(most, answer.before ?? 0);
    recorded = answer.recorded;
  }
  return {
    ...row('a critical event while the spool drains', injected, recorded),
    measured: {
      'events of the spool settled before it, at most': most,
      'spooled still': count((await source.ask({ do: 'status' })).spooled),
    },
    missed: over('events settled before the critical one', most, ON_THE_WAY),
  };
}

/** Each when normal batches have gone out since the one before. */
async function fromJournal(site: LoadSite, source: LoadSource, plan: Plan): Promise<FaultRow> {
  const { ops } = site;
  const first = ops.batches.length;
  let recorded = 0;
  for (let i = 0; i < plan.times; i++) {
    const [urgent, normal] = [ops.count('urgent'), ops.count('normal')];
    ({ recorded } = await source.ask({ do: 'fill', count: 1, severity: 'critical' }));
    await until('the critical event arrives', () => ops.count('urgent') > urgent, 60_000);
    await until('the normal lane moves', () => ops.count('normal') >= normal + 2, 60_000);
  }
  const before = ops.batches.flatMap(({ lane, receivedAt, at }, i) =>
    lane === 'urgent' && i >= first ? [normalBetween(site, receivedAt, at)] : [],
  );
  const most = Math.max(...before);
  const pending = (await site.proxy.status()).writers[0]!.lanes.normal.pending;
  return {
    ...row('a critical event behind a backlog in the journal, a slow subscriber', before.length, recorded),
    measured: { 'normal batches before it, at most': most, 'pending still': count(pending) },
    missed: [
      ...over('normal batches before the critical event', most, NORMAL_BEFORE_MAX),
      ...(pending > 0 ? [] : ['a backlog to the end, got none']),
    ],
  };
}

/** More critical events than batches hold: the normal lane still moves, and everything arrives. */
async function flood(site: LoadSite, source: LoadSource, plan: Plan): Promise<FaultRow> {
  const { ops } = site;
  const first = ops.batches.length;
  const { critical } = plan;
  await source.ask({ do: 'fill', count: critical, severity: 'critical' });
  const hasUrgent = async (): Promise<boolean> => (await site.proxy.status()).writers[0]!.lanes.urgent.pending > 0;
  await until('the urgent ones are delivered', async () => !(await hasUrgent()), LIMIT_MS);
  const last = ops.batches.length;
  let run = 0;
  let longest = 0;
  for (const { lane, isBeside } of ops.batches.slice(first, last)) {
    run = lane === 'normal' || isBeside ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  const normal = ops.batches.slice(first, last).filter(({ lane }) => lane === 'normal').length;
  ops.delayMs = 0;
  const { recorded } = await source.ask({ do: 'drain' }, LIMIT_MS);
  await site.delivered(recorded);
  const books = await site.books(recorded);
  return {
    fault: `${count(critical)} critical events at once before the backlog, then all of it`,
    injected: 1,
    ...books,
    measured: { 'urgent batches in a row, at most': longest, 'normal batches meanwhile': normal },
    missed: [
      ...over('urgent batches in a row', longest, URGENT_RUN_MAX),
      ...(normal > 0 ? [] : ['normal batches during a flood, got none']),
    ],
  };
}

/** The writer waits for five minutes: each critical event brings one attempt, the destination's recovery all. */
async function* inBackOff(plan: Plan, fault: 'refused' | 'away'): AsyncIterable<FaultRow> {
  const site = await LoadSite.prepare({ retry: `{ policy: constant, interval: ${BACK_OFF_MS / 1000}s }` });
  const { ops, proxy } = site;
  const lanes = async (): Promise<Record<'urgent' | 'normal', { attempts: number; nextAttemptInMs: number }>> =>
    (await proxy.status()).writers[0]!.lanes;
  try {
    ops.status = 503;
    if (fault === 'refused') await ops.open();
    await site.startProxy();
    const source = await site.source('agent');
    await source.ask({ do: 'fill', count: plan.backlog / 10 }, LIMIT_MS);
    await until('the normal lane waits', async () => (await lanes()).normal.attempts === 1, 60_000);
    const times = Math.min(plan.times, 10);
    const wrong: string[] = [];
    for (let i = 1; i <= times; i++) {
      await source.ask({ do: 'fill', count: 1, severity: 'critical' });
      await until('it is tried', async () => (await lanes()).urgent.attempts >= i, 60_000);
      const { urgent, normal } = await lanes();
      if (urgent.attempts !== i || (fault === 'refused' && ops.refused.urgent !== i))
        wrong.push(`${i} urgent attempts, got ${urgent.attempts}`);
      if (normal.attempts > 1 + i) wrong.push(`the normal lane to wait, got ${normal.attempts} attempts`);
      if (urgent.nextAttemptInMs < BACK_OFF_MS / 2) wrong.push(`the next attempt in five minutes, got ${urgent.nextAttemptInMs} ms`);
    }
    ops.status = 200;
    if (fault === 'away') await ops.open();
    const { recorded } = await source.ask({ do: 'fill', count: 1, severity: 'critical' });
    await site.delivered(recorded);
    const isFirst = ops.batches[0]?.lane === 'urgent';
    yield {
      fault: `a critical event in a back-off of five minutes, the destination ${fault === 'refused' ? 'answers 503' : 'is away'}`,
      injected: times,
      ...(await site.books(recorded)),
      measured: { attempts: fault === 'refused' ? ops.refused.urgent : times, 'first batch after it': ops.batches[0]?.lane ?? '' },
      missed: [...wrong, ...(isFirst ? [] : ['the first batch after the back-off to be urgent'])],
    };
  } finally {
    await site.end();
  }
}

/** Normal batches that came to the subscriber after the proxy had received an event, and before it came there itself. */
function normalBetween({ ops }: LoadSite, receivedAt: number, at: number): number {
  return ops.batches.filter((batch) => batch.lane === 'normal' && batch.at > receivedAt && batch.at < at).length;
}

/** A row of which the loss is counted at the end, with those after it. */
function row(fault: string, injected: number, events: number): FaultRow {
  return { fault, injected, events, lost: 0, repeated: 0, wrongCounts: 0, discrepancy: 0 };
}

function over(what: string, got: number, max: number): string[] {
  return got <= max ? [] : [`${what}: at most ${max}, got ${got}`];
}

function count(number: number): string {
  return number.toLocaleString('en');
}
