/** Aborts, and the end. */
import type { CaseOf } from '../writer-contract.ts';
import { plainBatch } from './handing-over.ts';
import { must } from './received.ts';
import { letGo, type Scene } from './scene.ts';

/** Long enough for a request to be on its way. */
const ON_ITS_WAY_MS = 30;

export const STOPPING: readonly CaseOf[] = [
  {
    name: 'stops promptly when it is aborted, and rejects',
    needs: ['hang'],
    run: async (scene) => {
      await scene.ask('hang');
      await abortedAfter(scene, 0);
      await abortedAfter(scene, ON_ITS_WAY_MS);
    },
  },
  {
    name: 'does not begin when it is aborted already',
    run: async (scene) => {
      await mustBeUnavailable(scene, AbortSignal.abort());
      await scene.has([]);
    },
  },
  {
    name: 'can be used again after an abort',
    run: async (scene) => {
      await mustBeUnavailable(scene, AbortSignal.abort());
      const batch = plainBatch(1, 3);
      await scene.write(batch);
      await scene.has(batch);
    },
  },
  {
    name: 'rejects after it was closed, and may be closed twice',
    run: async (scene) => {
      await scene.within('close', async () => scene.writer.close?.());
      await scene.within('close again', async () => scene.writer.close?.());
      const error = await scene.attempt(plainBatch(1, 1));
      must(error?.code === 'UNAVAILABLE', `a write after close must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
      await scene.has([]);
    },
  },
];

async function abortedAfter(scene: Scene, ms: number): Promise<void> {
  const stop = new AbortController();
  const writing = scene.attempt(plainBatch(1, 10), stop.signal);
  await letGo(ms);
  stop.abort();
  const error = await writing;
  // Where nothing is acknowledged there is nothing to wait for.
  if (error === undefined && !scene.isAcknowledged) return;
  must(error?.code === 'UNAVAILABLE', `a write that is aborted must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
}

async function mustBeUnavailable(scene: Scene, signal: AbortSignal): Promise<void> {
  const error = await scene.attempt(plainBatch(1, 10), signal);
  must(error?.code === 'UNAVAILABLE', `a write that is aborted already must be UNAVAILABLE, got ${error?.message ?? 'that it resolved'}`);
}
