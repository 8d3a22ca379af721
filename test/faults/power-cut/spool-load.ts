/** The load of a power cut: a life of a recorder with a proxy that comes and goes, told in marks. Takes a `SpoolLoad` as JSON. */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { uuidText } from '../../../core/uuid.ts';
import { openPowerSpool, PAD } from './small-spool.ts';
import { seeded } from '../../support/seeded.ts';

export interface SpoolLoad {
  readonly directory: string;
  readonly marks: string;
  readonly seed: number;
  /** The proxy's, which no power cut concerns: its journal, and how far it knows each series. */
  readonly journal: string;
  readonly rows: readonly (readonly [series: string, last: number])[];
  /** Event numbers: the first, and how many. */
  readonly first: number;
  readonly count: number;
  readonly end: 'close' | 'exit' | 'kill';
}

const load = JSON.parse(process.argv[2]!) as SpoolLoad;
const random = seeded(load.seed);
const marks = openSync(load.marks, 'a');
/** One write a mark, at once: so it stands in the trace where it was said. */
const mark = (...words: (string | number)[]): void => void writeSync(marks, `${words.join(' ')}\n`);

const { recorder, proxy } = await openPowerSpool(load);
const { model } = proxy;
const take = model.take.bind(model);
model.take = (batch) => {
  const before = model.stored.length;
  const reply = take(batch);
  const series = uuidText(batch.series);
  const events = proxy.events.slice(before).map(({ id, type, message }) => [id, type === 'test.Event' ? message : '']);
  mark('took', series, batch.isClosing ? -1 : reply.settled, JSON.stringify(events));
  return reply;
};
process.on('exit', (code) => {
  if (code === 0) mark('all'); // the recorder's own listener came first
});
mark('life', load.first);

const last = load.first + load.count - 1;
let isUp = true;
let changeAt = 0;
for (let n = load.first; n <= last;) {
  if (performance.now() > changeAt) await change();
  const end = Math.min(last, n + Math.floor(random() * 20));
  mark('tried', end);
  for (; n <= end; n++) record(n);
  await pause(Math.floor(random() * 12));
}
if (load.end === 'kill') process.kill(process.pid, 'SIGKILL');
if (load.end === 'close') await recorder.close();
process.exit(0);

async function change(): Promise<void> {
  if (isUp) proxy.stop();
  else await proxy.start();
  isUp = !isUp;
  changeAt = performance.now() + 50 + random() * 250;
}

function record(n: number): void {
  const severity = n % 10 === 0 ? 'critical' : 'info';
  const details = { attributes: { pad: PAD } };
  if (n % 4 === 0) recorder.event('test.Event', severity, `m ${n}`, details);
  else
    recorder.record('test.Event', severity, `m ${n}`, details).then(
      () => mark('confirmed', n),
      () => undefined, // not in time: no promise
    );
}
