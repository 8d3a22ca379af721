/** What a destination does when it is not well. */
import type { Delivery } from '../../core/writer.ts';
import { deliveries, eventOf } from '../deliveries.ts';
import type { EventInput } from '../deliveries.ts';
import type { CaseOf } from '../writer-contract.ts';
import { plainBatch } from './handing-over.ts';
import { must } from './received.ts';
import { assertSameBytes, payloadsFrom } from './repeats.ts';
import { letGo, type Scene } from './scene.ts';

const ON_ITS_WAY_MS = 30;

export const FAULTS: readonly CaseOf[] = [
  {
    name: 'is UNAVAILABLE where nobody listens, and says that the place was not reached',
    needs: ['openUnreachable'],
    run: async (scene) => {
      const error = await scene.attempt(plainBatch(1, 1), undefined, await scene.unreachable());
      must(error?.code === 'UNAVAILABLE', `it must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
      must(error.facts.unreachable === true, `it must have the fact { unreachable: true }, got ${JSON.stringify(error.facts.unreachable)}`);
    },
  },
  {
    name: 'goes on when a destination that took all and said nothing is back',
    needs: ['hang', 'recover'],
    run: async (scene) => {
      const [before, batch, after] = [plainBatch(1, 3), plainBatch(4, 10), plainBatch(11, 13)];
      await scene.write(before);
      await scene.has(before);
      await scene.ask('hang');
      await abortOnItsWay(scene, batch);
      await scene.ask('recover');
      await scene.deliver(batch);
      await scene.deliver(after);
      await scene.has([...before, ...batch, ...after], { repeats: scene.isAcknowledged ? batch : [...before, ...batch], isBroken: true });
    },
  },
  {
    name: 'waits for a destination that is slow, and sends nothing twice',
    needs: ['slow'],
    run: async (scene) => {
      await scene.ask('slow');
      const batch = plainBatch(1, 5);
      await scene.write(batch);
      await scene.has(batch);
    },
  },
  {
    name: 'is UNAVAILABLE when the reply is lost after all was taken, and the same batch again is harmless',
    needs: ['loseReply'],
    run: async (scene, options) => {
      const [batch, after] = [plainBatch(1, 5), plainBatch(6, 8)];
      await scene.ask('loseReply');
      const error = await scene.attempt(batch);
      must(error?.code === 'UNAVAILABLE', `a lost reply must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
      const first = options.payloads === undefined ? undefined : await scene.payloads();
      const rest = error.facts.taken ?? 0;
      await scene.deliver(batch.slice(rest));
      if (first && rest === 0 && scene.resend !== 'once') assertBegins(scene, first.bytes, await payloadsFrom(scene, first.count));
      await scene.deliver(after);
      await scene.has([...batch, ...after], { repeats: batch, isBroken: true });
    },
  },
  {
    name: 'says no more than what was taken when a batch fails half way, and the rest goes through',
    needs: ['failAfter'],
    run: async (scene) => {
      const batch = plainBatch(1, 8);
      await scene.failAfter(3);
      const error = await scene.attempt(batch);
      must(error?.code === 'UNAVAILABLE', `a failure that passes must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
      const taken = error.facts.taken ?? 0;
      const there = (await scene.received()).length;
      must(taken <= there, `taken must be the events that the destination has, from the first on: ${there} at most, got ${taken}`);
      await scene.deliver(batch.slice(taken));
      await scene.has(batch, { repeats: batch.slice(taken) });
    },
  },
  {
    name: 'is REJECTED for an event that is refused for good, so that it can be told from the others',
    needs: ['poison'],
    run: async (scene) => {
      const poison = poisonOf((await scene.ask('poison')) as EventInput, 4);
      const batch = [...plainBatch(1, 3), poison, ...plainBatch(5, 9)];
      const dead = await setAside(scene, batch);
      const ids = dead.map(({ event }) => event.id);
      must(ids.length === 1 && ids[0] === poison.event.id, `${poison.event.id} alone must be REJECTED, got ${JSON.stringify(ids)}`);
      const after = plainBatch(10, 12);
      await scene.write(after);
      const sound = batch.filter((each) => each !== poison);
      await scene.has([...sound, ...after], { repeats: sound });
    },
  },
  {
    name: 'goes on when the destination was restarted between two batches',
    needs: ['restart'],
    run: async (scene) => {
      const [before, batch, after] = [plainBatch(1, 5), plainBatch(6, 10), plainBatch(11, 15)];
      await scene.write(before);
      await scene.has(before);
      await scene.ask('restart');
      await scene.deliver(batch);
      await scene.deliver(after);
      await scene.has([...before, ...batch, ...after], { repeats: scene.isAcknowledged ? batch : [...before, ...batch], isBroken: true });
    },
  },
];

/** A write that is on its way when it is aborted. */
async function abortOnItsWay(scene: Scene, batch: readonly Delivery[]): Promise<void> {
  const stop = new AbortController();
  const writing = scene.attempt(batch, stop.signal);
  await letGo(ON_ITS_WAY_MS);
  stop.abort();
  await writing;
}

/** The lost reply may have been that of a part. */
function assertBegins(scene: Scene, first: Buffer, again: Buffer): void {
  assertSameBytes(scene, first, again.subarray(0, first.length));
}

function poisonOf(input: EventInput, number: number): Delivery {
  return deliveries([eventOf(JSON.stringify(input), number)], { first: number })[0]!;
}

/** Delivers as a feed does that sets aside: halves, left first, or what `taken` says. Gives what is to be set aside. */
async function setAside(scene: Scene, batch: readonly Delivery[]): Promise<Delivery[]> {
  if (batch.length === 0) return [];
  const error = await scene.attempt(batch);
  if (error === undefined) return [];
  must(error.code === 'REJECTED', `what is refused for good must be REJECTED, got ${error.message}`);
  const { taken } = error.facts;
  must(taken === undefined || taken < batch.length, `taken must be less than the batch of ${batch.length}, got ${taken}`);
  if (taken !== undefined) return [batch[taken]!, ...(await setAside(scene, batch.slice(taken + 1)))];
  if (batch.length === 1) return [batch[0]!];
  const middle = Math.ceil(batch.length / 2);
  return [...(await setAside(scene, batch.slice(0, middle))), ...(await setAside(scene, batch.slice(middle)))];
}
