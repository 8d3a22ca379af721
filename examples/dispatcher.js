// @ts-check
// Durable events to a destination of one's own, in this process, without a proxy:  node examples/dispatcher.js [directory]
// Ctrl-C ends it. Or kill it with -9 and start it again: what it has recorded arrives.
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Dispatch } from 'fondaco/dispatcher';
import { openJournal } from 'fondaco/journal';

const directory = process.argv[2] ?? './data/press';
const journal = await openJournal(join(directory, 'journal'), { site: 'plant-7' });

const stop = new AbortController();
process.on('SIGINT', () => stop.abort()).on('SIGTERM', () => stop.abort());

/** @type {import('fondaco/dispatcher').Writer} */
const writer = {
  // Resolves when the destination has the whole batch. What it throws is tried again; a FondacoError's code can say more.
  async write(batch) {
    const lines = batch.map(({ event, delivery }) => JSON.stringify({ ...delivery, id: event.id, message: event.message }));
    await appendFile(join(directory, 'delivered.ndjson'), `${lines.join('\n')}\n`);
  },
};
const filter = { types: ['press.*'] };
const dispatch = await Dispatch.open(journal, {
  component: 'press',
  writers: [{ name: 'file', writer, filter, batch: { intervalMs: 200 } }],
});
const running = dispatch.run(stop.signal);

for (let stroke = 1; !stop.signal.aborted; stroke++) {
  const id = await dispatch.record('press.Stroke', 'info', `stroke ${stroke}`, { attributes: { stroke } });
  console.log(`recorded ${id}`); // it is on disk, and will be delivered whatever happens now
  await sleep(20);
}

await running;
const { isBalanced, writers } = await dispatch.ledger();
console.log(isBalanced ? 'balanced' : 'DOES NOT BALANCE', writers[0]?.lanes.normal);
await journal.close();
