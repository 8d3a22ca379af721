/**
 * Full disks and spent budgets, on small file systems of their own: the proxy's, a spool's, both at once, and room back; memory and spools that
 * are full; destinations that fill the budget, or fall behind their `ageMax`. Deliveries go on meanwhile, the others and ingest do not notice,
 * all of it resumes unattended, and what is given up is named. Without the right to mount, only what needs no disk.
 */
import { join } from 'node:path';
import { pause } from '../support/pause.ts';
import type { SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';
import { judgeSource, judgeWriter, together } from './full-disk/judge.ts';
import { FullDiskSite } from './full-disk/site.ts';
import type { Source } from './full-disk/source.ts';
import { blame, newVerdict, type Verdict } from './verdict.ts';

const MIB = 1024 * 1024;
const LIMIT_MS = 120_000;
/** The reserve of a proxy is 32 MiB, and as much again has to be left beside it. */
const PROXY_DISK_BYTES = 120 * MIB;
const SPOOL_DISK_BYTES = 16 * MIB;
/** What is taken at the edge of a budget: a batch of 1 MiB, with what the entries of it have beside the events. */
const BATCH_BYTES = 1.25 * MIB;
const PROBLEMS_MAX = 10;

interface Plan {
  readonly rounds: number;
  /** Of a spool, and recorded beyond it and beyond memory (16 MiB). */
  readonly spoolMib: number;
  readonly beyondMib: number;
  readonly budgetMib: number;
  readonly spools: readonly SpoolPlan[];
}

/** What limits a spool: its bytesMax, or its disk. */
interface SpoolPlan {
  readonly by: 'bytesMax' | 'disk';
  readonly whenFull: 'drop-oldest' | 'drop-newest';
}
const LIMITED_OLDEST: SpoolPlan = { by: 'bytesMax', whenFull: 'drop-oldest' };
const LIMITED_NEWEST: SpoolPlan = { by: 'bytesMax', whenFull: 'drop-newest' };
const SHORT_OLDEST: SpoolPlan = { by: 'disk', whenFull: 'drop-oldest' };
const SHORT_NEWEST: SpoolPlan = { by: 'disk', whenFull: 'drop-newest' };

const PLANS: Record<CampaignOrder['form'], Plan> = {
  short: { rounds: 1, spoolMib: 4, beyondMib: 2, budgetMib: 16, spools: [LIMITED_NEWEST] },
  long: { rounds: 5, spoolMib: 32, beyondMib: 32, budgetMib: 48, spools: [LIMITED_OLDEST, LIMITED_NEWEST, SHORT_OLDEST, SHORT_NEWEST] },
};

/** Of what a healthy destination is given at a time. */
const STEP_MIB = 4;

const campaign: Campaign = {
  title: 'full disks and spent budgets',
  repeats: 'a write that was not settled when the store was opened again comes again whole, under the same ids and numbers',
  async *run({ form, progress }: CampaignOrder): AsyncIterable<FaultRow> {
    const plan = PLANS[form];
    for (let round = 1; round <= plan.rounds; round++) {
      yield* spentBudget(plan);
      yield* fullSpools(plan);
      yield* fullProxy(plan);
      progress(round, plan.rounds);
    }
  },
};
export default campaign;

function row(fault: string, { problems, ...counts }: Verdict, measured?: FaultRow['measured']): FaultRow {
  for (const problem of problems.slice(0, PROBLEMS_MAX)) console.error(`${fault}: ${problem}`);
  return { fault, injected: 1, ...counts, missed: problems.slice(0, PROBLEMS_MAX), ...(measured && { measured }) };
}

/** One dead destination fills the budget, another one falls behind its age. */
async function* spentBudget({ budgetMib }: Plan): AsyncIterable<FaultRow> {
  const backlogs = { well: '{ bytesMax: 1GiB }', dead: '{ bytesMax: 1GiB }', late: '{ bytesMax: 1GiB, ageMax: 1s }' };
  const site = (await FullDiskSite.prepare({ journal: `{ bytesMax: ${budgetMib}MiB }`, backlogs }))!;
  try {
    await site.proxy.start();
    const source = await site.source('agent', { directory: join(site.folder, 'spool') });
    const looking = new AbortController();
    const looks = lookOn(site, looking.signal);
    // No faster than the healthy one takes it: who falls behind by the whole budget pays, too.
    const isThere = async (): Promise<boolean> => source.isDone && (await site.pending('well')) === 0;
    for (let mib = 0; mib < budgetMib * 1.5; mib += STEP_MIB) {
      await source.record(STEP_MIB);
      await until('everything is at the healthy one', isThere, LIMIT_MS);
    }
    await until('everything is too old for the late one', async () => (await site.pending('late')) === 0, LIMIT_MS);
    looking.abort();
    const mostBytes = await looks;
    for (const name of ['dead', 'late']) site.mend(name);
    const ledger = await site.drained();
    const well = together([judgeSource(site, source), judgeWriter(site, 'well', ledger)]);
    const dead = judgeWriter(site, 'dead', ledger);
    const { normal, urgent } = ledger.writers.find(({ name }) => name === 'dead')!.lanes;
    blame(well, 'wrongCounts', site.refusals.size, `ingest was refused: ${[...site.refusals].join()}`);
    blame(
      well,
      'wrongCounts',
      mostBytes > budgetMib * MIB + BATCH_BYTES ? 1 : 0,
      `the journal had ${mostBytes} bytes of ${budgetMib * MIB}`,
    );
    blame(
      well,
      'lost',
      source.recorded.size - new Set(site.writers.get('well')!.book.events.map(({ id }) => id)).size,
      'not at the healthy one',
    );
    blame(dead, 'wrongCounts', urgent.dropped, 'critical events of the dead one were dropped while info ones were kept');
    blame(dead, 'wrongCounts', normal.dropped > 0 ? 0 : 1, 'the budget was not spent');
    yield row('a dead destination spends the budget: the others, and ingest', well, { 'journal at most, bytes': mostBytes });
    yield row('a dead destination spends the budget: itself', dead, { 'dropped, and named': normal.dropped });
    const late = judgeWriter(site, 'late', ledger);
    const lanes = ledger.writers.find(({ name }) => name === 'late')!.lanes;
    const expired = lanes.normal.expired + lanes.urgent.expired;
    blame(late, 'wrongCounts', expired > 0 ? 0 : 1, 'nothing was too old');
    yield row('a dead destination whose ageMax is one second', late, { 'expired, and named': expired });
  } finally {
    await site.end();
  }
}

/** Resolves, at `signal`, with the most bytes of entries that were seen. */
async function lookOn(site: FullDiskSite, signal: AbortSignal): Promise<number> {
  let most = 0;
  while (!signal.aborted) {
    await site.look();
    most = Math.max(most, (await site.proxy.status()).journal.bytes);
    await pause(100);
  }
  return most;
}

/** No proxy answers; memory and spool take what they can. Then it comes. */
async function* fullSpools({ spoolMib, beyondMib, spools }: Plan): AsyncIterable<FaultRow> {
  const site = (await FullDiskSite.prepare({ journal: '{ bytesMax: 4GiB }', backlogs: { well: '{ bytesMax: 4GiB }' } }))!;
  const filled: { readonly fault: string; readonly source: Source }[] = [];
  try {
    const fill = async (fault: string, source: Source, mib: number): Promise<void> => {
      await source.record(mib / 2, { isPatient: false });
      await source.record(1, { isPatient: false, severity: 'critical' });
      await source.record(mib / 2, { isPatient: false });
      filled.push({ fault, source });
    };
    await fill('memory full, no spool', await site.source('memory', false), 16 + beyondMib);
    for (const { by, whenFull } of spools) {
      const name = `${by}-${whenFull}`;
      const disk = by === 'disk' ? site.mount(name, SPOOL_DISK_BYTES) : undefined;
      if (by === 'disk' && !disk) continue;
      const directory = join(disk?.directory ?? site.folder, 'spool');
      const source = await site.source(name, { directory, whenFull, ...(!disk && { bytesMax: spoolMib * MIB }) });
      const fault = disk ? `the disk under a spool full, and memory, ${whenFull}` : `spool and memory full, ${whenFull}`;
      await fill(fault, source, 16 + beyondMib + (disk ? SPOOL_DISK_BYTES / MIB : spoolMib));
    }
    await site.proxy.start();
    const ledger = await site.drained();
    for (const { fault, source } of filled) {
      const verdict = judgeSource(site, source);
      const { dropped } = source.recorder.status().ledger;
      blame(verdict, 'wrongCounts', dropped > 0 ? 0 : 1, 'it was not full');
      yield row(fault, verdict, { 'dropped, and named': dropped });
    }
    const ours = together([judgeWriter(site, 'well', ledger), newVerdict()]);
    blame(ours, 'discrepancy', ledger.isBalanced ? 0 : 1, 'the ledger');
    yield row('… and what the proxy has of all of these', ours);
  } finally {
    await site.end();
  }
}

/** A disk under the proxy that others fill, a destination that is dead until then; then the spool's disk, too. */
async function* fullProxy({ beyondMib }: Plan): AsyncIterable<FaultRow> {
  const backlogs = { well: '{ bytesMax: 1GiB }', dead: '{ bytesMax: 1GiB }' };
  const site = await FullDiskSite.prepare({ journal: '{ bytesMax: 1GiB }', backlogs, diskBytes: PROXY_DISK_BYTES });
  const spoolDisk = site?.mount('spool-disk', SPOOL_DISK_BYTES);
  if (!site || !spoolDisk) return;
  const disk = site.disk!;
  try {
    await site.proxy.start();
    const source = await site.source('agent', { directory: join(spoolDisk.directory, 'spool') });
    await source.record(2);
    await until('the agent has handed everything over', () => source.isDone, LIMIT_MS);
    fillUp(disk);
    await recordUntil(source, () => isFull(site));
    site.mend('dead');
    await until('what is there is delivered while the disk is full', async () => (await site.pending('dead')) === 0, LIMIT_MS);
    const wasFull = await isFull(site);
    disk.empty();
    yield row("the proxy's disk full, a backlog delivered meanwhile, room back", await judged(site, source, wasFull));

    fillUp(disk);
    spoolDisk.fill(4 * MIB);
    await recordUntil(source, () => isFull(site));
    await source.record(16 + 4 + beyondMib, { isPatient: false });
    const areFull = (await isFull(site)) && source.recorder.status().ledger.dropped > 0;
    spoolDisk.empty();
    disk.empty();
    const verdict = await judged(site, source, areFull);
    yield row('the disks of proxy and spool full at once, room back', verdict, {
      'dropped, and named': source.recorder.status().ledger.dropped,
    });
  } finally {
    await site.end();
  }
}

/** The proxy may take of what is left at the same time. */
function fillUp(disk: SmallDisk): void {
  try {
    disk.fill();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

async function isFull(site: FullDiskSite): Promise<boolean> {
  return (await site.look()) === 'the disk is full';
}

async function recordUntil(source: Source, isDone: () => Promise<boolean>): Promise<void> {
  for (let mib = 0; !(await isDone()); mib++) {
    if (mib > 100) throw new Error('the disk must be found full, got 100 MiB stored');
    await source.record(0.25, { isPatient: false });
    await pause(50);
  }
}

async function judged(site: FullDiskSite, source: Source, wasFull: boolean): Promise<Verdict> {
  const ledger = await site.drained();
  const verdict = together([judgeSource(site, source), judgeWriter(site, 'well', ledger), judgeWriter(site, 'dead', ledger)]);
  blame(verdict, 'wrongCounts', wasFull ? 0 : 1, 'it was not full to the end');
  blame(verdict, 'discrepancy', ledger.isBalanced ? 0 : 1, 'the ledger');
  await source.record(0.25);
  await until('it takes events as before', () => source.isDone, LIMIT_MS);
  return verdict;
}
