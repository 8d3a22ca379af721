/**
 * Writes batches into a file without end, as a process that can be killed: node --import tsx file-writer-child.ts <path> <first seq> <bytesMax> <keep>
 * Says "<lane> <last seq>" of each batch when it is written, and not before. The urgent lane's seqs begin at the same number.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../core/clock.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import { fileSettings } from '../../writers/file-settings.ts';
import { FileWriter } from '../../writers/file.ts';
import { deliveries, eventOf } from './deliveries.ts';

const [path = '', first = '1', bytesMax = '64KiB', keep = '100'] = process.argv.slice(2);
const writer = await FileWriter.open(fileSettings.parse({ path, rotate: { bytesMax, keep } }), { clock: systemClock(), directory: '/' });

async function writeForEver(lane: Lane): Promise<never> {
  for (let seq = Number(first); ;) {
    const events = Array.from({ length: 1 + (seq % 60) }, (_, i) =>
      eventOf(
        JSON.stringify({ type: 'test.Tick', severity: 'info', message: `${lane} ${seq + i} ${'x'.repeat((seq * 37) % 900)}` }),
        seq + i,
      ),
    );
    await writer.write(deliveries(events, { lane, first: seq }), new AbortController().signal);
    seq += events.length;
    writeSync(1, `${lane} ${seq - 1}\n`);
  }
}

await Promise.all(LANES.map(writeForEver));
