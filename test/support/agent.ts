/**
 * An agent for system tests, run as a process: records numbered events at a pace, then waits until all are settled (or on disk), and prints
 * their ids and its ledger. Takes an `AgentOrder` as JSON.
 */
import { perLane } from '../../core/lane.ts';
import { Recorder } from '../../recorder/index.ts';
import { numbered } from './numbered.ts';
import { pause } from './pause.ts';

export interface AgentOrder {
  readonly component: string;
  readonly proxy: string;
  readonly directory: string;
  readonly count: number;
  readonly perBurst: number;
  readonly pauseMs: number;
  /** `settled` (default): it ends when a proxy has everything. `durable`: when everything is with a proxy or on disk. */
  readonly until?: 'settled' | 'durable';
}

const { component, proxy, directory, count, perBurst, pauseMs, until = 'settled' } = JSON.parse(process.argv[2]!) as AgentOrder;
const recorder = await Recorder.open({ component, node: 'n1', proxy, spool: { directory } });
const ids = perLane((): (string | undefined)[] => []);

console.log(JSON.stringify({ started: component }));
for (let n = 1; n <= count;) {
  for (let i = 0; i < perBurst && n <= count; i++, n++) record(n);
  await pause(pauseMs);
}
console.log(JSON.stringify({ recorded: count }));
const end = Date.now() + 120_000;
const isDone = (): boolean => {
  const { settled, spooled } = recorder.status().ledger;
  return settled + (until === 'durable' ? spooled : 0) === count;
};
while (!isDone() && Date.now() < end) await pause(20);
const { ledger } = recorder.status();
await recorder.close();
console.log(JSON.stringify({ ids }));
console.log(JSON.stringify({ ledger }));

function record(n: number): void {
  const event = numbered(component, n);
  ids[event[1] === 'critical' ? 'urgent' : 'normal'].push(recorder.event(...event));
}
