import { asError } from '../../core/errors.ts';
import type { Collector, CollectorParts } from './collector.ts';

/** Runs all collectors until `signal` is aborted. One that cannot run here says so once, and the others go on. */
export async function runCollectors(collectors: readonly Collector[], parts: CollectorParts, signal: AbortSignal): Promise<void> {
  const run = async (collector: Collector): Promise<void> => {
    try {
      await collector.run(parts, signal);
    } catch (error) {
      const message = `${collector.name} cannot be watched here: ${asError(error).message}`;
      parts.record('agent.CollectorStopped', 'warn', message.slice(0, 2000), { object: { kind: 'Collector', name: collector.name } });
    }
  };
  await Promise.all(collectors.map(run));
}
