/**
 * npm run bench: one run, everything beside everything, so that its figures may be compared with one another; absolute ones move with the
 * machine. Rates are taken in rounds, ours and the bare pipeline's in turn, and the medians are told.
 *
 * What is compared: the bare pipeline's client makes and encodes one event per call, packs 1,000 to a message, and its server appends each
 * message unread to a file with fdatasync. Ours does the same work and all that Fondaco adds: series, checks, dedup windows, checksums,
 * positions, LevelDB, cursors. The webhook counts events without parsing them.
 */
import Table from 'cli-table3';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from './children.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, events: { type: 'string', default: '400000' }, rounds: { type: 'string', default: '3' } },
});
const events = Number(values.events);
const rounds = Number(values.rounds);
if (!existsSync(fileURLToPath(new URL('../dist/cli/main.js', import.meta.url)))) throw new Error('dist/ is missing: npm run build');
const folder = mkdtempSync(join(tmpdir(), 'fondaco-bench-'));
const say = (text: string): void => {
  if (values.json !== true) console.error(text);
};

interface Rate {
  readonly perSecond: number;
  /** Of the sending and the receiving process, for the events alone. */
  readonly cpuSeconds: number;
  readonly serverCpuSeconds: number;
}

async function bareRound(): Promise<Rate> {
  const server = Child.run('bare-server.ts', [join(folder, 'bare.log')]);
  const { port } = await server.next('port');
  const before = server.cpuSeconds();
  const client = Child.run('bare-client.ts', [`${Number(port)}`, `${events}`]);
  const rate = (await client.next('perSecond')) as unknown as Rate;
  const serverCpuSeconds = server.cpuSeconds() - before;
  await server.stop();
  return { ...rate, serverCpuSeconds };
}

async function startProxy(name: string, writers: string): Promise<{ proxy: Child; grpc: string }> {
  const config = join(folder, `${name}.yaml`);
  writeFileSync(config, `site: bench\ndata: ./${name}\nlisten: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }\nwriters: ${writers}\n`);
  const proxy = Child.run('../dist/cli/main.js', ['proxy', '--config', config]);
  const { grpc } = await proxy.next('grpc');
  return { proxy, grpc: grpc as string };
}

async function settledRound(round: number): Promise<Rate & { recorderMiB: number; proxyMiB: number }> {
  const { proxy, grpc } = await startProxy(`settled-${round}`, '[]');
  const before = proxy.cpuSeconds();
  const recorder = Child.run('recorder-client.ts', ['rate', grpc, join(folder, `spool-${round}`), String(events)]);
  const rate = (await recorder.next('perSecond')) as unknown as Rate;
  const serverCpuSeconds = proxy.cpuSeconds() - before;
  const memory = { recorderMiB: recorder.memoryMiB(), proxyMiB: proxy.memoryMiB() };
  await recorder.stop();
  await proxy.stop();
  return { ...rate, serverCpuSeconds, ...memory };
}

async function deliveredRound(round: number): Promise<{ perSecond: number; proxyMiB: number }> {
  const webhook = Child.run('webhook.ts', [String(events)]);
  const { port } = await webhook.next('port');
  const { proxy, grpc } = await startProxy(`delivered-${round}`, `[{ name: hook, kind: http, url: "http://127.0.0.1:${Number(port)}/" }]`);
  const started = Date.now();
  const recorder = Child.run('recorder-client.ts', ['rate', grpc, join(folder, `spool-d-${round}`), String(events)]);
  const { perSecond } = (await recorder.next('perSecond')) as unknown as Rate;
  const settledAt = Date.now();
  const { at } = await webhook.next('delivered');
  // The recorder's process starts within the time taken here: what it took to start is taken off again.
  const startMs = settledAt - started - (events / perSecond) * 1000;
  const proxyMiB = proxy.memoryMiB();
  for (const child of [recorder, proxy, webhook]) await child.stop();
  return { perSecond: (events / ((at as number) - started - startMs)) * 1000, proxyMiB };
}

async function one(what: string, count: number): Promise<Record<string, number>> {
  const { proxy, grpc } = await startProxy(what, '[]');
  const recorder = Child.run('recorder-client.ts', [what, grpc, join(folder, `spool-${what}`), String(count)]);
  const figures = await recorder.next(what === 'latency' ? 'p50Ms' : 'nsPerCall');
  await proxy.stop();
  return figures as Record<string, number>;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const bare: Rate[] = [];
const settled: (Rate & { recorderMiB: number; proxyMiB: number })[] = [];
const delivered: { perSecond: number; proxyMiB: number }[] = [];
for (let round = 1; round <= rounds; round++) {
  say(`round ${round} of ${rounds}, ${events} events each: bare, settled, delivered …`);
  bare.push(await bareRound());
  settled.push(await settledRound(round));
  delivered.push(await deliveredRound(round));
}
say('ack latency at 1,000 events/s for 10 s …');
const latency = await one('latency', 10_000);
say('cost of event() …');
const cost = await one('cost', 300_000);
rmSync(folder, { recursive: true, force: true });

const bareRate = median(bare.map((rate) => rate.perSecond));
const settledRate = median(settled.map((rate) => rate.perSecond));
const deliveredRate = median(delivered.map((rate) => rate.perSecond));
const perMillion = (rates: readonly Rate[], side: 'cpuSeconds' | 'serverCpuSeconds'): string =>
  ((median(rates.map((rate) => rate[side])) / events) * 1e6).toFixed(1);
const figures = {
  events,
  rounds,
  barePerSecond: Math.round(bareRate),
  settledPerSecond: Math.round(settledRate),
  settledToBare: median(settled.map((rate, i) => rate.perSecond / bare[i]!.perSecond)),
  deliveredPerSecond: Math.round(deliveredRate),
  deliveredToSettled: median(delivered.map((rate, i) => rate.perSecond / settled[i]!.perSecond)),
  bareCpuPerMillion: [perMillion(bare, 'cpuSeconds'), perMillion(bare, 'serverCpuSeconds')],
  settledCpuPerMillion: [perMillion(settled, 'cpuSeconds'), perMillion(settled, 'serverCpuSeconds')],
  ackP50Ms: latency.p50Ms,
  ackP99Ms: latency.p99Ms,
  eventCallNs: Math.round(cost.nsPerCall! - cost.nsToMakeArguments!),
  recorderMiB: Math.round(median(settled.map((rate) => rate.recorderMiB))),
  proxyMiB: Math.round(median(delivered.map((rate) => rate.proxyMiB))),
};
if (values.json) console.log(JSON.stringify(figures));
else {
  const table = new Table({ head: ['figure', 'median', 'wanted'], style: { head: [], border: [] } });
  table.push(
    ['bare pipeline: events/s encoded, sent, fdatasynced', figures.barePerSecond.toLocaleString('en'), ''],
    ['durably settled with one recorder, events/s', figures.settledPerSecond.toLocaleString('en'), ''],
    ['  … × bare', figures.settledToBare.toFixed(2), '≥ 0.5'],
    ['delivered to a webhook, events/s', figures.deliveredPerSecond.toLocaleString('en'), ''],
    ['  … × settled', figures.deliveredToSettled.toFixed(2), '≥ 0.35'],
    ['CPU-s per million, sender + receiver: bare', figures.bareCpuPerMillion.join(' + '), ''],
    ['  … durably settled', figures.settledCpuPerMillion.join(' + '), ''],
    ['ack latency at 1,000 events/s, p50 / p99 ms', `${figures.ackP50Ms} / ${figures.ackP99Ms}`, ''],
    ['event() in the caller, ns', String(figures.eventCallNs), ''],
    ['memory of the recorder / proxy, MiB without mapped files', `${figures.recorderMiB} / ${figures.proxyMiB}`, ''],
  );
  console.log(table.toString());
}
