/**
 * Backlogs of every size: in the journal before a dead destination, in a spool before a dead proxy. Everything is counted to the end; at
 * full length what it takes is measured, and its ratios are judged: private memory (RssAnon) after full collections at the largest backlog
 * and at ten thousand events, in one life that has worked before (a fresh one has not touched all of its heap); the start with that backlog;
 * draining; the disk after; and what the destination is told to have waited.
 * A spool is to drain as fast as it fills. A journal fills as fast as the machine can make events durable, on all of its cores, which no
 * destination on the same machine takes: it is to drain no slower than it delivers while events come and nothing is behind.
 * Dedup is off: its windows hold what came in the last seconds, up to a limit of their own, whatever the backlog.
 *
 * The long form writes some 12 GB and takes half an hour on two cores.
 */
import { LIMITS } from '../../core/event.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { uuidV7Bytes } from '../../core/uuid.ts';
import { BATCH_LIMITS, encodeBatch } from '../../proto/batch-codec.ts';
import type { LoadAnswer } from '../support/load-agent.ts';
import { LoadSite, type LoadBooks } from '../support/load-site.ts';
import type { LoadSource } from '../support/load-source.ts';
import { Peak } from '../support/peak.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

interface Plan {
  readonly sizes: readonly number[];
  /** Through everything before the first measurement, so that caches and heaps are what they are at work. */
  readonly warmUp: number;
  /** Waited for the destination once, and were drained, before it: filling at full speed touches more of a heap than any backlog does. */
  readonly warmUpBacklog: number;
  readonly isJudged: boolean;
  /** Messages of 63 events of 64 KiB. */
  readonly largeMessages: number;
}

const PLANS: Record<CampaignOrder['form'], Plan> = {
  short: { sizes: [1_000, 10_000], warmUp: 1_000, warmUpBacklog: 1_000, isJudged: false, largeMessages: 2 },
  long: { sizes: [10_000, 1_000_000, 10_000_000], warmUp: 300_000, warmUpBacklog: 3_000_000, isJudged: true, largeMessages: 100 },
};

const MEMORY_RATIO_MAX = 1.25;
const START_MS_MAX = 1000;
/** A machine that takes longer to start with nothing is not to be blamed on the backlog. */
const START_RATIO_MAX = 1.25;
/** Of the disk that a backlog took, so much may be left: what is not worth a compaction. */
const LEFT_RATIO_MAX = 0.02;
const LEFT_BYTES_MIN = 8 * 1024 * 1024;
const STARTS = 3;
const LARGE_PER_MESSAGE = 63;
const LIMIT_MS = 7_200_000;

const campaign: Campaign = {
  title: 'backlogs of every size',
  repeats: 'what was on its way when a process was killed comes again, under the same ids and numbers',
  async *run({ form, progress }: CampaignOrder): AsyncIterable<FaultRow> {
    const plan = PLANS[form];
    const stages = [inJournal, inSpool, ofLargeEvents];
    for (const [done, stage] of stages.entries()) {
      yield await stage(plan);
      progress(done + 1, stages.length);
    }
  },
};
export default campaign;

/** Figures by their names, and the limits that they miss. */
class Figures {
  readonly measured: Record<string, string | number> = {};
  readonly #missed: string[] = [];
  readonly #isJudged: boolean;

  constructor({ isJudged }: Plan) {
    this.#isJudged = isJudged;
  }

  get told(): Pick<FaultRow, 'measured' | 'missed'> {
    return { measured: this.measured, missed: this.#missed };
  }

  atMost(what: string, got: number, max: number): void {
    this.measured[what] = round(got);
    if (this.#isJudged && !(got <= max)) this.#missed.push(`${what}: at most ${round(max)}, got ${round(got)}`);
  }

  atLeast(what: string, got: number, min: number): void {
    this.measured[what] = round(got);
    if (this.#isJudged && !(got >= min)) this.#missed.push(`${what}: at least ${round(min)}, got ${round(got)}`);
  }
}

/** A dead destination; the proxy is killed and started with all of it; then the destination comes back. */
async function inJournal(plan: Plan): Promise<FaultRow> {
  const figures = new Figures(plan);
  const { measured } = figures;
  const site = await LoadSite.prepare();
  try {
    const emptyMs = await startMs(site, plan);
    await site.ops.open();
    const source = await site.source('agent');
    const live = perSecond(plan.warmUp, await deliver(site, source, plan.warmUp));
    await site.ops.leave();
    const before = plan.warmUp + plan.warmUpBacklog;
    await settle(source, before);
    await site.ops.open();
    await site.delivered(before);
    await site.ops.leave();
    const memory: number[] = [];
    let fillMs = 0;
    for (const size of plan.sizes) {
      fillMs = await settle(source, size + before);
      memory.push((await site.proxyKiB()) / 1024);
      measured[`memory with ${count(size)}, MiB`] = round(memory.at(-1)!);
    }
    const size = plan.sizes.at(-1)!;
    const filled = perSecond(size - (plan.sizes.at(-2) ?? 0), fillMs);
    figures.atMost('memory, the largest / the smallest', memory.at(-1)! / memory[0]!, MEMORY_RATIO_MAX);
    measured['delivered as it came, events/s'] = live;
    measured['filled, events/s'] = filled;
    const bytes = await site.journalBytes();
    measured['on disk, MiB'] = mib(bytes);
    await site.proxy.kill();
    measured['start of an empty one, ms'] = emptyMs;
    figures.atMost('start, ms', await startMs(site, plan), Math.max(START_MS_MAX, emptyMs * START_RATIO_MAX));
    if (plan.isJudged) measured['memory, started with it, MiB'] = round((await site.proxyKiB()) / 1024);
    const drained = await drainJournal(site, before + size);
    measured['memory while it drains, at most, MiB'] = mib(drained.peakKiB * 1024);
    const rate = perSecond(size, drained.ms);
    measured['drained, events/s'] = rate;
    measured['drained / filled'] = round(rate / filled);
    figures.atLeast('drained / delivered as it came', rate / live, 1);
    const left = await givenBack(() => site.journalBytes(), bytes);
    figures.atMost('on disk after it, MiB', mib(left), Math.max(LEFT_BYTES_MIN, bytes * LEFT_RATIO_MAX) / 1024 ** 2);
    const { recorded } = await source.ask({ do: 'status' });
    const books = await site.books(recorded);
    const untold = plan.isJudged ? Math.abs(size - waitedFor(site.ops.tally.outages)) : 0;
    return {
      fault: `${count(size)} events in the journal, a dead destination, SIGKILL`,
      injected: 1,
      ...books,
      wrongCounts: books.wrongCounts + untold,
      ...figures.told,
    };
  } finally {
    await site.end();
  }
}

/** What the destination was told to have waited for it the last time: counted, and not looked at any more. */
function waitedFor(outages: readonly string[]): number {
  const { attributes } = JSON.parse(outages.at(-1) ?? '{"attributes":{"deliveries":0,"uncounted":0}}') as {
    attributes: { deliveries: number; uncounted: number };
  };
  return outages.length > 2 ? 0 : attributes.deliveries + attributes.uncounted;
}

async function drainJournal(site: LoadSite, events: number): Promise<{ ms: number; peakKiB: number }> {
  const peak = new Peak(site.proxy.child.pid);
  const started = performance.now();
  await site.ops.open();
  await site.delivered(events);
  return { ms: performance.now() - started, peakKiB: peak.end() };
}

/** A dead proxy; half of the backlog is drained by the life that spooled it, which is killed then, the rest by the next. */
async function inSpool(plan: Plan): Promise<FaultRow> {
  const figures = new Figures(plan);
  const { measured } = figures;
  const site = await LoadSite.prepare();
  try {
    await site.startProxy();
    const source = await site.source('agent');
    await source.ask({ do: 'fill', count: plan.warmUp }, LIMIT_MS);
    await source.ask({ do: 'drain' }, LIMIT_MS);
    await site.proxy.kill();
    const memory: number[] = [];
    let filled!: LoadAnswer;
    for (const [i, size] of plan.sizes.entries()) {
      filled = await source.ask({ do: 'fill', count: size - (plan.sizes[i - 1] ?? 0) }, LIMIT_MS);
      memory.push((await source.ask({ do: 'memory' })).privateKiB / 1024);
      measured[`memory with ${count(size)}, MiB`] = round(memory.at(-1)!);
    }
    const size = plan.sizes.at(-1)!;
    const rate = perSecond(size - (plan.sizes.at(-2) ?? 0), filled.ms);
    figures.atMost('memory, the largest / the smallest', memory.at(-1)! / memory[0]!, MEMORY_RATIO_MAX);
    measured['filled, events/s'] = rate;
    const bytes = await site.spoolBytes();
    measured['on disk, MiB'] = mib(bytes);
    const halves = await drainSpool(site, source, size);
    figures.atMost('start, ms', halves.openedMs, START_MS_MAX);
    measured['memory while it drains, at most, MiB'] = mib(halves.peakKiB * 1024);
    measured['drained, events/s'] = perSecond(size, halves.ms);
    figures.atLeast('drained / filled', perSecond(size, halves.ms) / rate, 1);
    const left = await givenBack(() => site.spoolBytes(), bytes);
    figures.atMost('on disk after it, MiB', mib(left), Math.max(LEFT_BYTES_MIN, bytes * LEFT_RATIO_MAX) / 1024 ** 2);
    return {
      fault: `${count(size)} events in a spool, a dead proxy, SIGKILL of the recorder`,
      injected: 1,
      ...(await settledBooks(site, plan.warmUp + size)),
      ...figures.told,
    };
  } finally {
    await site.end();
  }
}

async function drainSpool(site: LoadSite, first: LoadSource, size: number): Promise<{ ms: number; openedMs: number; peakKiB: number }> {
  await site.startProxy();
  const firstPeak = new Peak(first.child.pid);
  const started = performance.now();
  const isHalf = async (): Promise<boolean> => (await first.ask({ do: 'status' })).spooled <= size / 2;
  await until('half of it is drained', isHalf, LIMIT_MS);
  const firstMs = performance.now() - started;
  const peaks = [firstPeak.end()];
  await first.end();
  const again = performance.now();
  const { source, opened } = await site.openSource('agent');
  const peak = new Peak(source.child.pid);
  await source.ask({ do: 'drain' }, LIMIT_MS);
  const ms = firstMs + performance.now() - again;
  return { ms, openedMs: Math.round(opened.ms), peakKiB: Math.max(...peaks, peak.end()) };
}

/** Counted at the proxy, which takes each seq of a series once: nobody is there to be delivered to. */
async function settledBooks(site: LoadSite, recorded: number): Promise<LoadBooks> {
  const { accepted, lost, writers, isBalanced } = await site.proxy.ledger();
  const { pending, discrepancy } = writers[0]!.lanes.normal;
  return {
    events: recorded,
    lost: Math.max(0, recorded - accepted.normal) + lost,
    repeated: 0,
    wrongCounts: Math.max(0, accepted.normal - recorded) + Math.abs(pending - accepted.normal),
    discrepancy: Math.abs(discrepancy) + (isBalanced ? 0 : 1),
  };
}

/** Messages of 4 MiB, to the byte, full of events of 64 KiB; one more byte is refused, and nothing of it is stored. */
async function ofLargeEvents(plan: Plan): Promise<FaultRow> {
  const site = await LoadSite.prepare();
  const client = new RawClient(site.proxy.address);
  try {
    await site.startProxy();
    const series = uuidV7Bytes(Date.now());
    let wrong = 0;
    const { largeMessages } = plan;
    for (let n = 0; n < largeMessages; n++) {
      const { code, replies } = await client.stream(largeBatch(series, n * (LARGE_PER_MESSAGE + 1), BATCH_LIMITS.bytes));
      if (code !== 0 || replies[0]?.settled !== (n + 1) * (LARGE_PER_MESSAGE + 1)) wrong++;
    }
    const recorded = largeMessages * (LARGE_PER_MESSAGE + 1);
    const refused = await client.stream(largeBatch(series, recorded, BATCH_LIMITS.bytes + 1));
    if (refused.code === 0 || refused.replies.length > 0) wrong++;
    const memory = await site.proxyKiB();
    await site.ops.open();
    await site.delivered(recorded);
    const books = await site.books(recorded);
    return {
      fault: `messages of 4 MiB with events of 64 KiB in the journal, a dead destination`,
      injected: largeMessages + 1,
      ...books,
      wrongCounts: books.wrongCounts + wrong,
      measured: { 'memory with them, MiB': mib(memory * 1024) },
    };
  } finally {
    client.close();
    await site.end();
  }
}

/** A message of so many bytes: events of 64 KiB, and a last one that fills it up. */
function largeBatch(series: Uint8Array, after: number, bytes: number): Buffer {
  const sender = { node: 'n1', component: 'large' };
  const batchOf = (last: number): Buffer => {
    const events = Array.from({ length: LARGE_PER_MESSAGE }, (_, n) => largeEvent(after + n, LIMITS.eventBytes));
    return encodeBatch({
      series,
      after,
      settled: 0,
      settledBy: '',
      isGone: false,
      lost: [],
      events: [...events, largeEvent(after, last)],
      isClosing: false,
      lane: 'normal',
      sender,
    });
  };
  const probe = 50_000;
  return batchOf(probe + bytes - batchOf(probe).length);
}

function largeEvent(n: number, bytes: number): Buffer {
  const writer = new ProtobufWriter();
  writer.text(1, 'load.Large');
  writer.uint(2, 9);
  writer.text(5, `event ${n}`);
  writer.bytes(99, Buffer.alloc(bytes - writer.length - 5)); // a field of a later version, with a tag of two bytes and a length of three
  return Buffer.from(writer.view());
}

/** Records events that are delivered as they come; resolves with the ms until the last is there. */
async function deliver(site: LoadSite, source: LoadSource, events: number): Promise<number> {
  const started = performance.now();
  await source.ask({ do: 'fill', count: events }, LIMIT_MS);
  await site.delivered(events);
  return performance.now() - started;
}

/** Fills up to `total`, all of it in the journal; resolves with the ms. */
async function settle(source: LoadSource, total: number): Promise<number> {
  const { recorded } = await source.ask({ do: 'status' });
  const filled = await source.ask({ do: 'fill', count: total - recorded }, LIMIT_MS);
  const drained = await source.ask({ do: 'drain' }, LIMIT_MS);
  return filled.ms + drained.ms;
}

/** The best of some starts; the last proxy runs on. */
async function startMs(site: LoadSite, { isJudged }: Plan): Promise<number> {
  let best = await site.startProxy();
  for (let i = 1; i < STARTS && isJudged; i++) {
    await site.proxy.kill();
    best = Math.min(best, await site.startProxy());
  }
  return best;
}

/** What is left on disk once it is not becoming less. */
async function givenBack(bytes: () => Promise<number>, before: number): Promise<number> {
  let left = before;
  await until(
    'the disk is given back',
    async () => (left = await bytes()) <= Math.max(LEFT_BYTES_MIN, before * LEFT_RATIO_MAX),
    30_000,
  ).catch(() => undefined);
  return left;
}

const perSecond = (events: number, ms: number): number => Math.round((events / ms) * 1000);
const mib = (bytes: number): number => Math.round((bytes / 1024 ** 2) * 10) / 10;
const round = (value: number): number => (value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
const count = (number: number): string => number.toLocaleString('en');
