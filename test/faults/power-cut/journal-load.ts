/** The load of a power cut: a life of a proxy's inside that is told in marks. Takes a `JournalLoad` as JSON; ends closed or killed. */
import { openSync, writeSync } from 'node:fs';
import { pause } from '../../support/pause.ts';
import { batchOf, openPowerSite, type SenderState } from './small-site.ts';
import { seeded } from '../../support/seeded.ts';

export interface JournalLoad {
  readonly directory: string;
  readonly marks: string;
  readonly seed: number;
  readonly senders: readonly SenderState[];
  /** How many batches each of them sends. */
  readonly batches: number;
  readonly end: 'close' | 'kill';
}

const load = JSON.parse(process.argv[2]!) as JournalLoad;
const random = seeded(load.seed);
const marks = openSync(load.marks, 'a');
/** One write a mark, at once: so it stands in the trace where it was said. */
const mark = (...words: (string | number)[]): void => void writeSync(marks, `${words.join(' ')}\n`);

const site = await openPowerSite(load.directory, {
  onTaken: (writer, deliveries) => mark('taken', writer, JSON.stringify(deliveries)),
  isReached: () => random() < 0.4,
});
site.start();
mark('open');
await Promise.all(load.senders.map((sender) => send(sender)));
if (load.end === 'kill') process.kill(process.pid, 'SIGKILL');
await site.close();
mark('closed');

async function send(sender: SenderState): Promise<void> {
  let after = sender.acked;
  for (let batch = 0; batch < load.batches; batch++) {
    const last = Math.max(sender.sent, after + 1 + Math.floor(random() * 24));
    mark('sent', sender.tag, last);
    sender.sent = last;
    const reply = await site.dispatch.accept(batchOf(sender, after, last));
    if (reply.expected !== undefined) {
      mark('asked', sender.tag, reply.expected); // for what was settled once
      after = sender.acked = reply.expected - 1;
    }
    if (reply.expected !== undefined || reply.settled <= after) continue; // or throttled: the same again
    after = sender.acked = reply.settled;
    mark('acked', sender.tag, after);
    if (batch % 50 === 49) await site.journal.compact();
    if (random() < 0.3) await pause(Math.floor(random() * 30));
  }
}
