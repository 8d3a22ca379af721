/**
 * Every campaign, one after the other, and a table of what they cost.
 *   npm run faults                                  the long forms; exits with 1 when a column after "events" is not 0, "repeated" aside, or a limit was missed
 *   npm run faults -- --short | --only <name>… | --seed <number> | --json
 */
import { SingleBar, Presets } from 'cli-progress';
import Table from 'cli-table3';
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { freshSeed } from '../support/seeded.ts';
import { isClean, type Campaign, type FaultRow } from './campaign.ts';

const SUFFIX = '.campaign.ts';
const HEAD = ['fault', 'times injected', 'events', 'lost', 'repeated', 'wrong counts', 'ledger discrepancy'];

interface Report {
  readonly campaign: string;
  readonly seconds: number;
  readonly rows: readonly FaultRow[];
  /** Why it could not go on. */
  readonly error?: string;
}

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? freshSeed() : Number(values.seed);
const form = values.short ? 'short' : 'long';

const known = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith(SUFFIX))
  .map((name) => name.slice(0, -SUFFIX.length));
const unknown = values.only?.filter((name) => !known.includes(name)) ?? [];
if (unknown.length > 0 || !Number.isSafeInteger(seed)) {
  console.error(unknown.length > 0 ? `no campaign ${unknown.join(', ')}; there are ${known.join(', ')}` : `--seed must be an integer`);
  process.exit(64);
}

const reports: Report[] = [];
for (const name of values.only ?? known) reports.push(await report(name));
if (values.json) console.log(JSON.stringify({ form, seed, reports }, undefined, 2));
else await printTable();
process.exit(reports.every(({ error, rows }) => error === undefined && rows.every(isClean)) ? 0 : 1);

async function report(name: string): Promise<Report> {
  const campaign = await load(name);
  const bar = progressBar(name);
  const started = performance.now();
  const rows: FaultRow[] = [];
  let error: string | undefined;
  try {
    for await (const row of campaign.run({ form, seed, progress: (done, total) => bar?.update(done, total) })) rows.push(row);
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  bar?.stop();
  const seconds = Math.round((performance.now() - started) / 1000);
  if (!values.json) console.error(`${name}: ${error ?? 'done'}, ${seconds} s`);
  return { campaign: name, seconds, rows, ...(error === undefined ? {} : { error }) };
}

async function load(name: string): Promise<Campaign> {
  const module = (await import(new URL(`${name}${SUFFIX}`, import.meta.url).href)) as { default: Campaign };
  return module.default;
}

/** On a terminal only. */
function progressBar(name: string): { update(done: number, total: number): void; stop(): void } | undefined {
  if (!process.stderr.isTTY) return undefined;
  const bar = new SingleBar(
    { format: `${name} {bar} {value}/{total}`, clearOnComplete: true, stream: process.stderr },
    Presets.shades_classic,
  );
  bar.start(1, 0);
  return {
    update: (done, total) => {
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}

async function printTable(): Promise<void> {
  const table = new Table({
    head: HEAD,
    style: { head: [], border: [] },
    colAligns: ['left', ...HEAD.slice(1).map(() => 'right' as const)],
  });
  for (const { campaign, rows, error } of reports) {
    for (const row of rows) {
      const { fault, injected, events, lost, repeated, wrongCounts, discrepancy } = row;
      table.push([fault, ...[injected, events, lost, repeated, wrongCounts, discrepancy].map((count) => count.toLocaleString('en'))]);
    }
    if (error !== undefined) table.push([{ colSpan: HEAD.length, content: `${campaign} did not end: ${error.split('\n')[0]}` }]);
  }
  console.log(table.toString());
  printMeasured(reports.flatMap(({ rows }) => rows));
  for (const { campaign, rows } of reports) {
    if (rows.some(({ repeated }) => repeated > 0)) console.log(`repeated, ${campaign}: ${(await load(campaign)).repeats}`);
  }
  console.log(`${form} form, seed ${seed}`);
}

/** What was measured, and below it the limits that it misses. */
function printMeasured(rows: readonly FaultRow[]): void {
  const told = rows.filter(({ measured, missed = [] }) => measured !== undefined || missed.length > 0);
  if (told.length === 0) return;
  const table = new Table({ head: ['measured', ''], style: { head: [], border: [] }, colAligns: ['left', 'right'] });
  for (const { fault, measured = {}, missed = [] } of told) {
    table.push([{ colSpan: 2, content: fault }]);
    for (const [figure, value] of Object.entries(measured))
      table.push([`  ${figure}`, typeof value === 'number' ? value.toLocaleString('en') : value]);
    for (const limit of missed) table.push([{ colSpan: 2, content: `  missed: ${limit}` }]);
  }
  console.log(table.toString());
}
