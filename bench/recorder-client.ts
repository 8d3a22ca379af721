/** An agent under load. `rate`: as fast as the proxy settles. `latency`: 1,000 events a second, each awaited. `cost`: what event() costs its caller. */
import { build } from 'hdr-histogram-js';
import type * as recording from '../recorder/index.ts';
import { details, message, SEVERITY, TYPE } from './events.ts';

const dist = new URL('../dist/', import.meta.url);
const { Recorder } = (await import(new URL('recorder/index.js', dist).href)) as typeof recording;
const [what, proxy, directory, count] = process.argv.slice(2) as [string, string, string, string];
const total = Number(count);
/** Kept so short that nothing waits for 250 ms, after which it would spill: that is another figure. */
const QUEUED_MAX = 16_000;
const recorder = await Recorder.open({ component: 'bench', node: 'node-1', proxy, spool: { directory } });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** A turn for the sender; and while the queue is long, sleep instead of asking again and again: the machine has two cores for all of us. */
const breathe = async (): Promise<void> => {
  await turn();
  while (recorder.status().ledger.queued > QUEUED_MAX) await new Promise((resolve) => setTimeout(resolve, 1));
};
const say = (line: Record<string, unknown>): void => console.log(JSON.stringify(line));

if (what === 'rate') {
  const started = performance.now();
  const cpu = process.cpuUsage();
  for (let n = 0; n < total;) {
    for (let i = 0; i < 1000; i++, n++) recorder.event(TYPE, SEVERITY, message(n), details(n));
    await breathe();
  }
  await recorder.flush();
  while (recorder.status().ledger.settled < total) await new Promise((resolve) => setTimeout(resolve, 1));
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  say({ perSecond: (total / ms) * 1000, cpuSeconds: (user + system) / 1e6, ledger: recorder.status().ledger });
  process.once('SIGTERM', () => process.exit(0));
  setTimeout(() => undefined, 240_000); // stays to be looked at
} else if (what === 'latency') {
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });
  const waiting: Promise<void>[] = [];
  const started = performance.now();
  for (let n = 0; n < total; n++) {
    while (performance.now() - started < n) await new Promise((resolve) => setTimeout(resolve, 1));
    const at = performance.now();
    waiting.push(
      recorder
        .record(TYPE, SEVERITY, message(n), details(n))
        .then(() => histogram.recordValue(Math.round((performance.now() - at) * 1000))),
    );
  }
  await Promise.all(waiting);
  say({ p50Ms: histogram.getValueAtPercentile(50) / 1000, p99Ms: histogram.getValueAtPercentile(99) / 1000 });
  await recorder.close();
  process.exit(0);
} else {
  let ns = 0n;
  for (let n = 0; n < total;) {
    const at = process.hrtime.bigint();
    for (let i = 0; i < 100; i++, n++) recorder.event(TYPE, SEVERITY, message(n), details(n));
    ns += process.hrtime.bigint() - at;
    await breathe();
  }
  let made = 0n;
  for (let n = 0; n < total; n++) {
    const at = process.hrtime.bigint();
    for (let i = 0; i < 100; i++, n++) sink(message(n), details(n));
    made += process.hrtime.bigint() - at;
  }
  say({ nsPerCall: Number(ns) / total, nsToMakeArguments: Number(made) / total });
  await recorder.close();
  process.exit(0);
}

function sink(...values: unknown[]): void {
  if (values.length === 0) console.log(values);
}
