/** What becomes of a batch that comes again, as it does after every failure that is not known to be one. */
import { deliveries } from '../deliveries.ts';
import type { CaseOf } from '../writer-contract.ts';
import { eventsOf, plainBatch } from './handing-over.ts';
import { nastyLines, plainLines } from './lines.ts';
import { must, shown } from './received.ts';
import type { Delivery } from '../../core/writer.ts';
import type { Scene } from './scene.ts';

const LINES = [...nastyLines(), ...plainLines(1, 20)];
const batchOfLines = (): Delivery[] => deliveries(eventsOf(LINES, 1, { region: 'eu' }));
const between = (): Delivery[] => plainBatch(900, 910);

export const REPEATS: readonly CaseOf[] = [
  {
    name: 'takes a batch that comes again, also in other cuts',
    run: async (scene) => {
      const all = plainBatch(1, 20);
      const cuts = [all.slice(0, 10), all.slice(0, 10), all.slice(4, 15), all];
      for (const cut of cuts) await scene.write(cut);
      await scene.settles();
      await scene.has(all, { repeats: all.slice(0, 15) });
    },
  },
  {
    name: 'sends the same bytes when a batch comes again, whatever happened in between',
    needs: ['payloads'],
    run: async (scene) => {
      const first = await payloadOf(scene, batchOfLines());
      await scene.write(between());
      await assertSamePayload(scene, first, batchOfLines());
    },
  },
  {
    name: 'sends the same bytes in another life, after a restart of the proxy',
    needs: ['payloads'],
    run: async (scene) => {
      const first = await payloadOf(scene, batchOfLines());
      await scene.nextLife();
      await assertSamePayload(scene, first, batchOfLines());
      await scene.write(between());
      await scene.has([...batchOfLines(), ...between()], { repeats: batchOfLines() });
    },
  },
];

/** What a write adds to the payloads. */
export async function payloadOf(scene: Scene, batch: readonly Delivery[]): Promise<Buffer> {
  await scene.settles();
  const { count } = await scene.payloads();
  await scene.write(batch);
  return payloadsFrom(scene, count);
}

/** The payloads from `count` on; where nothing is acknowledged, when all have come. */
export async function payloadsFrom(scene: Scene, count: number): Promise<Buffer> {
  await scene.settles();
  return (await scene.payloads(count)).bytes;
}

async function assertSamePayload(scene: Scene, first: Buffer, batch: readonly Delivery[]): Promise<void> {
  assertSameBytes(scene, first, await payloadOf(scene, batch));
}

/** A destination that has each event once may not show what came again. */
export function assertSameBytes(scene: Scene, first: Buffer, again: Buffer): void {
  must(first.length > 0, 'payloads must give what was written, got nothing');
  if (scene.resend === 'once' && again.length === 0) return;
  must(
    first.equals(again),
    `a batch that comes again must be the same bytes, ${shown(first.toString(), again.toString())}, got ${shown(again.toString(), first.toString())}`,
  );
}
