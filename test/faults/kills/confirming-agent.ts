/**
 * An agent that may be SIGKILLed at any moment: it records numbered events with `record()` and writes down, synced, which of them were tried
 * and which were confirmed, and at which level. Takes a `ConfirmingOrder` as JSON. Ends when it is told to stop and everything, of earlier
 * lives too, is settled.
 */
import { closeSync, existsSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { asError, isFondacoError } from '../../../core/errors.ts';
import { Recorder } from '../../../recorder/index.ts';
import { numbered } from '../../support/numbered.ts';
import { pause } from '../../support/pause.ts';

export interface ConfirmingOrder {
  readonly component: string;
  readonly proxy: string;
  readonly directory: string;
  readonly durability: 'memory' | 'spool';
  /** The number of its first event. */
  readonly first: number;
  readonly perBurst: number;
  readonly pauseMs: number;
  /** Where it writes down `tried <last number>` before a burst, and `confirmed <number> <id> <level>` after it. */
  readonly log: string;
  /** It goes on until this file is there. */
  readonly stop: string;
}

const order = JSON.parse(process.argv[2]!) as ConfirmingOrder;
const { component, proxy, directory, durability } = order;
const log = openSync(order.log, 'a');
const recorder = await Recorder.open({ component, node: 'n1', proxy, durability, spool: { directory }, onError: () => undefined });
let confirmed = '';
let failed: Error | undefined;

for (let n = order.first; !existsSync(order.stop);) {
  const end = n + order.perBurst - 1;
  writeSync(log, `tried ${end}\n`);
  for (; n <= end; n++) void confirm(n);
  await pause(order.pauseMs);
  writeConfirmed();
}
const end = Date.now() + 300_000;
const isDone = (): boolean => {
  const { ledger, older } = recorder.status();
  return ledger.settled === ledger.recorded && older.lives === 0;
};
while (!isDone() && Date.now() < end) await pause(20);
const { ledger, older } = recorder.status();
await recorder.close();
writeConfirmed();
closeSync(log);
console.log(JSON.stringify({ ledger, older }));
if (failed !== undefined) throw failed;

async function confirm(n: number): Promise<void> {
  try {
    const { id, level } = await recorder.record(...numbered(component, n));
    confirmed += `confirmed ${n} ${id} ${level}\n`;
  } catch (error) {
    // It may take a proxy that is killed again and again longer than `record()` waits: then nothing is confirmed. In the end all must be settled.
    if (!isFondacoError(error, 'UNAVAILABLE')) failed ??= asError(error);
  }
}

function writeConfirmed(): void {
  if (confirmed === '') return;
  writeSync(log, confirmed);
  confirmed = '';
  fdatasyncSync(log);
}
