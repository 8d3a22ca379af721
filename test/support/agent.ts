/**
 * An agent for system tests, run as a process: records numbered events at a pace, then waits until all are settled, and prints its ledger.
 *   agent.ts <component> <proxy> <spool directory> <count> <per burst> <ms between bursts>
 * Every 500th is critical. Every third repeats the one before, which dedup may fold.
 */
import { Recorder } from '../../recorder/index.ts';

const [component = '', proxy = '', directory = '', count = '', perBurst = '', pauseMs = ''] = process.argv.slice(2);
const total = Number(count);
const recorder = await Recorder.open({ component, node: 'n1', proxy, spool: { directory } });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

console.log(JSON.stringify({ started: component }));
for (let n = 1; n <= total;) {
  for (let i = 0; i < Number(perBurst) && n <= total; i++, n++) {
    const shown = n % 3 === 0 ? n - 1 : n;
    if (n % 500 === 0) recorder.event('test.Critical', 'critical', `${component} critical ${n}`);
    else
      recorder.event('test.Event', 'info', `${component} event ${shown}`, {
        object: { kind: 'Thing', name: String(shown % 7) },
        attributes: { shown },
      });
  }
  await pause(Number(pauseMs));
}
console.log(JSON.stringify({ recorded: total }));
const end = Date.now() + 120_000;
while (recorder.status().ledger.settled < total && Date.now() < end) await pause(20);
const { ledger } = recorder.status();
await recorder.close();
console.log(JSON.stringify({ ledger }));
